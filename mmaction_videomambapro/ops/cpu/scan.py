"""The selective scan as two kernels, forward and backward.

Tokens lie one behind the other with their channels side by side, (B, L, D). A task
is a share of one clip's channels; it walks the tokens in chunks and, within a chunk,
its channels in tiles of LANES. A tile passes three times over its chunk, so that the
innermost loop, the only one over states, keeps them in registers:

1. token by token: softplus and what else all states share;
2. states in blocks, token by token: the recurrence;
3. token by token: skip connection, sum with the other direction, gate.

The forward kernel keeps the states in front of every chunk; the backward kernel
recomputes a chunk from them and walks it back. A comes multiplied by log2(e),
because the kernels take powers of 2.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import SimpleNamespace

from .functions import exp2, is_tame, logistic, softplus
from .jit import LANES, Int, Kernel, Lanes

CHUNK = 32  # tokens between two states that are kept for the backward pass


def _arrays(*names):
    """Where an array's first token in scan order lies, and its steps in bytes."""
    return tuple(n + step for n in names for step in ('', '_batch', '_group', '_token'))


_COMMON = (
    *('counter', 'tasks', 'parts', 'groups', 'tiles', 'channels', 'length'),
    *('residual', 'delta_softplus', 'A', 'D', 'delta_bias', 'states', 'scratch'),
    *_arrays('u', 'delta', 'B', 'C', 'z', 'ungated'),
)
FORWARD_FIELDS = (*_COMMON, *_arrays('add', 'y'))
BACKWARD_FIELDS = (
    *_COMMON,
    *_arrays('dy', 'du', 'ddelta', 'dB', 'dC', 'dz', 'dadd'),
    *('dB_part', 'dC_part', 'dA', 'dD', 'ddelta_bias'),
)


@lru_cache
def forward(states: int, masked: bool, ragged: bool, double: bool) -> int:
    """Compile the forward kernel.

    Args:
        states (int): N.
        masked (bool): As in :func:`selective_scan`.
        ragged (bool): Whether a group's channels are no multiple of LANES.
        double (bool): float64 instead of float32.

    Returns:
        int: Its address; it takes the address of its FORWARD_FIELDS.
    """
    k = Kernel('scan_forward', FORWARD_FIELDS, double)
    rows = _Table(k, CHUNK, 'dt', 'dtu', 'y')
    block = _block(states, 16)
    h = [k.variable(0) for _ in range(block)]

    with k.tickets(k.counter, k.tasks) as ticket:
        task = _task(k, ticket)
        with k.loop(task.chunks) as chunk, k.loop(task.tiles) as i:
            tile = _Tile(k, task, chunk, i, states, ragged)
            largest, D = k.variable(0), k.load(tile.D)
            with k.loop(tile.count) as t:
                dt, _ = _step_size(k, tile, t, largest)
                u = tile.load('u', t)
                rows.set(t, dt=dt, dtu=dt * u, y=D * u)

            with k.loop(states // block) as b:
                A = tile.load_states(tile.A, b, block)
                with k.either(chunk.is_(0)) as (start, later):
                    with start:
                        first = k.select(k.residual.is_(1), tile.load('u', 0), 0)
                        for h_n in h:
                            h_n.set(first)
                    with later:
                        for h_n, x in zip(h, tile.load_states(tile.carry, b, block)):
                            h_n.set(x)
                with k.when(k.states.is_not(0)):
                    tile.store_states(tile.states, b, h)
                for tame in _tame_or_not(k, largest.get(), A):
                    with k.loop(tile.count) as t:
                        dt, dtu, y = rows.get(t, 'dt', 'dtu', 'y')
                        for n in range(block):
                            B, C = tile.weights(b * block + n, t)
                            p = exp2(dt, A[n], tame) * h[n].get()
                            own = dtu.fma(B, p)
                            h[n].set(own)
                            y = C.fma(p if masked else own, y)
                        rows.set(t, y=y)
                tile.store_states(tile.carry, b, h)
            if masked:
                with k.when(chunk.is_(0)):
                    rows.set(k.int(0), y=D * tile.load('u', 0))

            y = k.variable(0)
            with k.loop(tile.count) as t:
                y.set(*rows.get(t, 'y'))
                with k.when(k.add.is_not(0)):
                    y.set(y.get() + tile.load('add', t))
                with k.when(k.ungated.is_not(0)):
                    tile.store('ungated', t, y.get())
                with k.when(k.z.is_not(0)):
                    z = tile.load('z', t)
                    y.set(y.get() * (z * logistic(z)))
                tile.store('y', t, y.get())
    return k.compile()


@lru_cache
def backward(
    states: int, masked: bool, ragged: bool, double: bool
) -> int:
    """Compile the backward kernel; arguments and result are those of forward."""
    k = Kernel('scan_backward', BACKWARD_FIELDS, double)
    rows = _Table(
        k, CHUNK, 'dt', 'dtu', 'slope', 'dread', 'skip', 'ddtu', 'dx', 'own'
    )
    block = _block(states, 8)
    h, g, dA = ([k.variable(0) for _ in range(block)] for _ in range(3))
    walked = _Table(k, CHUNK * block, 'a', 'p')
    sums = _Table(k, CHUNK * states, 'dB', 'dC')

    with k.tickets(k.counter, k.tasks) as ticket:
        task = _task(k, ticket)
        with k.loop(task.chunks, down=True) as chunk:
            with k.loop((k.length - chunk * CHUNK).min(CHUNK)) as t:
                rows.set(t, own=k.lanes(0))
                with k.loop(states) as n:
                    sums.set(t * states + n, dB=k.lanes(0), dC=k.lanes(0))

            with k.loop(task.tiles) as i:
                tile = _Tile(k, task, chunk, i, states, ragged)
                ends = chunk.is_(task.chunks - 1)  # nothing reads the last state
                D, zero = k.load(tile.D), k.lanes(0)
                dD = k.variable(k.select(ends, 0, k.load(tile.dD)))
                dbias = k.variable(k.select(ends, 0, k.load(tile.ddelta_bias)))
                dread, largest = k.variable(0), k.variable(0)
                with k.loop(tile.count) as t:
                    dt, slope = _step_size(k, tile, t, largest)
                    u = tile.load('u', t)
                    dread.set(tile.load('dy', t))
                    with k.when(k.z.is_not(0)):
                        dread.set(_gate_backward(tile, t, dread.get()))
                    dD.set(dread.get().fma(u, dD.get()))
                    rows.set(t, dt=dt, dtu=dt * u, slope=slope, skip=dread.get() * D)
                    rows.set(t, dread=dread.get())
                    if not masked:
                        (own,) = rows.get(t, 'own')
                        rows.set(t, own=dread.get().fma(dt * u, own))
                if masked:
                    with k.when(chunk.is_(0)):
                        rows.set(k.int(0), dread=zero)

                with k.loop(states // block) as b:
                    A = tile.load_states(tile.A, b, block)
                    for h_n, x in zip(h, tile.load_states(tile.states, b, block)):
                        h_n.set(x)
                    for tame in _tame_or_not(k, largest.get(), A):
                        with k.loop(tile.count) as t:
                            dt, dtu = rows.get(t, 'dt', 'dtu')
                            for n in range(block):
                                B, _ = tile.weights(b * block + n, t)
                                a = exp2(dt, A[n], tame)
                                p = a * h[n].get()
                                h[n].set(dtu.fma(B, p))
                                walked.set(t * block + n, a=a, p=p)

                    for x, kept in ((g, tile.carry), (dA, tile.dA)):
                        for x_n, value in zip(x, tile.load_states(kept, b, block)):
                            x_n.set(k.select(ends, 0, value))
                    with k.loop(tile.count, down=True) as t:
                        dt, dtu, dread = rows.get(t, 'dt', 'dtu', 'dread')
                        before = rows.get(t, 'ddtu', 'dx')
                        ddtu, dx = (k.select(b.is_(0), 0, x) for x in before)
                        for n in range(block):
                            B, C = tile.weights(b * block + n, t)
                            a, p = walked.get(t * block + n, 'a', 'p')
                            at = t * states + b * block + n
                            dB, dC = sums.get(at, 'dB', 'dC')
                            dp = dread.fma(C, g[n].get())
                            dh = g[n].get() if masked else dp
                            sums.set(at, dB=dh.fma(dtu, dB), dC=dread.fma(p, dC))
                            ddtu = dh.fma(B, ddtu)
                            q = dp * p
                            dx = q.fma(A[n], dx)
                            dA[n].set(q.fma(dt, dA[n].get()))
                            g[n].set(dp * a)
                        rows.set(t, ddtu=ddtu, dx=dx)
                    tile.store_states(tile.carry, b, g)
                    tile.store_states(tile.dA, b, dA)

                with k.loop(tile.count) as t:
                    dt, ddtu, dx = rows.get(t, 'dt', 'ddtu', 'dx')
                    slope, skip = rows.get(t, 'slope', 'skip')
                    ddt = dx.fma(k.lanes(math.log(2)), ddtu * tile.load('u', t))
                    ddelta = ddt * slope
                    dbias.set(dbias.get() + ddelta)
                    tile.store('ddelta', t, ddelta)
                    tile.store('du', t, ddtu.fma(dt, skip))
                k.store(tile.dD, dD.get())
                k.store(tile.ddelta_bias, dbias.get())
                with k.when(k.builder.and_(chunk.is_(0), k.residual.is_(1))):
                    du = k.variable(tile.load('du', 0))
                    with k.loop(states) as n:
                        du.set(du.get() + k.load(tile.carry + n * k.size))
                    tile.store('du', 0, du.get())

            tile = _Tile(k, task, chunk, k.int(0), states, ragged)
            with k.loop(tile.count) as t:
                own = k.sum(*rows.get(t, 'own'))
                for n in range(0, states, LANES):
                    some = range(n, min(n + LANES, states))
                    mask = None if len(some) == LANES else k.first_lanes(len(some))
                    B_and_C = [sums.get(t * states + m, 'dB', 'dC') for m in some]
                    dB, dC = (k.sums(x) for x in zip(*B_and_C))
                    if not masked:  # C reads the token's own dt * B * u as well
                        B = k.load(tile.B + t * k.B_token + n * k.item, mask)
                        dC = own.fma(B, dC)
                    for name, x in (('dB', dB), ('dC', dC)):
                        at = getattr(tile, name) + t * getattr(k, f'{name}_token')
                        at = at + task.part * getattr(k, f'{name}_part')
                        k.store(at + n * k.item, x, mask)
    return k.compile()


def _block(states, most):
    """How many states to keep in registers at a time: a divisor of all."""
    return max(n for n in range(1, most + 1) if states % n == 0)


def _tame_or_not(k, largest, A):
    """Put a loop down twice, for products that ``exp2`` calls tame and for others."""
    positive = k.delta_softplus.is_(1)
    with k.either(is_tame(largest, A, positive)) as (usual, rare):
        with usual:
            yield True
        with rare:
            yield False


def _step_size(k, tile, t, largest):
    """dt of a token, and its derivative by delta; keeps track of the largest dt."""
    x = tile.load('delta', t) + k.load(tile.delta_bias)
    dt, slope = k.variable(x), k.variable(1)
    with k.when(k.delta_softplus.is_(1)):
        for variable, value in zip((dt, slope), softplus(x)):
            variable.set(value)
    largest.set(largest.get().bits().max(abs(dt.get()).bits()).lanes())
    return dt.get(), slope.get()


def _gate_backward(tile, t, dy):
    """Store dz and dadd of y = ungated * silu(z); return the gradient of ungated."""
    z = tile.load('z', t)
    s = logistic(z)
    silu = z * s
    slope = silu.fma(tile.k.lanes(1) - s, s)
    tile.store('dz', t, dy * tile.load('ungated', t) * slope)
    dungated = dy * silu
    with tile.k.when(tile.k.dadd.is_not(0)):
        tile.store('dadd', t, dungated)
    return dungated


def _task(k: Kernel, ticket: Int) -> SimpleNamespace:
    """The batch index, group and share of the group's tiles that a ticket stands for."""
    part, row = ticket % k.parts, ticket // k.parts
    first = k.tiles * part // k.parts
    return SimpleNamespace(
        part=part,
        group=row % k.groups,
        batch=row // k.groups,
        row=row,
        first=first,  # tile
        tiles=k.tiles * (part + 1) // k.parts - first,
        chunks=(k.length + (CHUNK - 1)) // CHUNK,
    )


class _Tile:
    """LANES channels of a chunk of tokens: where everything about them lies."""

    def __init__(self, k, task, chunk, i, states, ragged):
        self.k = k
        index = task.first + i
        channel, token = index * LANES, chunk * CHUNK
        self.count = (k.length - token).min(CHUNK)
        self.mask = k.first_lanes(k.channels - channel) if ragged else None
        by_row = task.row * k.tiles + index
        by_group = task.group * k.tiles + index
        by_chunk = (task.row * task.chunks + chunk) * k.tiles + index
        for name in ('D', 'delta_bias'):
            self._place(name, name, by_group * k.size)
        self._place('A', 'A', by_group * (states * k.size))
        self._place('carry', 'scratch', by_row * (states * k.size))
        self._place('states', 'states', by_chunk * (states * k.size))
        for name in ('dD', 'ddelta_bias'):
            self._place(name, name, by_row * k.size)
        self._place('dA', 'dA', by_row * (states * k.size))
        for name in k.fields:
            if not name.endswith('_token'):
                continue
            name = name.removesuffix('_token')
            step = {s: getattr(k, f'{name}_{s}') for s in ('batch', 'group', 'token')}
            at = task.batch * step['batch'] + task.group * step['group']
            at = at + token * step['token']
            if name not in ('B', 'C', 'dB', 'dC'):
                at = at + channel * k.item
            self._place(name, name, at)

    def _place(self, name, field, offset):
        if field in self.k.fields:
            setattr(self, name, getattr(self.k, field) + offset)

    def _at(self, name, t):
        return getattr(self, name) + getattr(self.k, f'{name}_token') * t

    def load(self, name: str, t: Int | int) -> Lanes:
        place = self._at(name, t)
        self._prefetch(place)
        return self.k.load(place, self.mask)

    def store(self, name: str, t: Int | int, x: Lanes) -> None:
        place = self._at(name, t)
        self._prefetch(place)
        self.k.store(place, x, self.mask)

    def _prefetch(self, place):
        """Fetch the same token of the next tile: the hardware does not see so far."""
        self.k.prefetch(place + self.k.size)

    def weights(self, n: Int, t: Int) -> tuple[Lanes, Lanes]:
        """B and C of a token for one state, the same in all lanes."""
        places = (self._at(name, t) + n * self.k.item for name in ('B', 'C'))
        return tuple(self.k.broadcast(place) for place in places)

    def load_states(self, place: Int, b: Int, block: int) -> list[Lanes]:
        """The b-th block of states."""
        place = place + b * (block * self.k.size)
        return [self.k.load(place + n * self.k.size) for n in range(block)]

    def store_states(self, place: Int, b: Int, states: list) -> None:
        place = place + b * (len(states) * self.k.size)
        for n, x in enumerate(states):
            self.k.store(place + n * self.k.size, x.get())


class _Table:
    """Working memory: rows of lanes with names."""

    def __init__(self, k, rows, *names):
        self.k, self.names = k, names
        self.base = k.buffer(rows * len(names) * k.size)

    def _at(self, row, name):
        column = self.names.index(name) * self.k.size
        return self.base + row * (len(self.names) * self.k.size) + column

    def get(self, row: Int, *names: str) -> list[Lanes]:
        return [self.k.load(self._at(row, name)) for name in names]

    def set(self, row: Int, **values: Lanes) -> None:
        for name, x in values.items():
            self.k.store(self._at(row, name), x)
