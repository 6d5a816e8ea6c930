"""The selective scan as two kernels, forward and backward.

Tokens lie one after the other with their channels side by side, (B, L, D). A task
is a share of one clip's channels; it walks the tokens in chunks and, within a chunk,
its channels in tiles of LANES. A tile passes three times over its chunk, so that the
innermost loop, the only one over states, keeps them in registers:

1. token by token: softplus and what else all states share;
2. states in blocks, token by token: the recurrence;
3. token by token: skip connection, sum with the other direction, gate.

The forward kernel keeps the states in front of every chunk; the backward kernel
recomputes a chunk from them and walks it back. Both multiply A by log2(e), to take
powers of 2.

Every value is one number for each of LANES channels, (LANES,); a list of them has one
for each state of a block, (N, LANES). B and C are the same in all lanes.
"""

from __future__ import annotations

import math
from functools import lru_cache

from .compiler import this_cpu
from .functions import LOG2_E, exp2, is_in_range, sigmoid, softplus
from .lanes import LANES, Kernel
from .tiles import TASK_FIELDS, Table, Task, Tile, array_fields

CHUNK = 32  # tokens between two states that are kept for the backward pass

_FLAGS_AND_WEIGHTS = 'residual', 'delta_softplus', 'A', 'D', 'delta_bias'
_COMMON = TASK_FIELDS + _FLAGS_AND_WEIGHTS + ('states', 'scratch')
_COMMON += array_fields('u', 'delta', 'B', 'C', 'z', 'ungated')
FORWARD_FIELDS = _COMMON + array_fields('add', 'y')
BACKWARD_FIELDS = _COMMON + array_fields('dy', 'du', 'ddelta', 'dB', 'dC', 'dz', 'dadd')
BACKWARD_FIELDS += 'part', 'dA', 'dD', 'ddelta_bias', 'arrivals'


@lru_cache
def forward(states: int, masked: bool, ragged: bool, double: bool) -> int:
    """Compile the forward kernel.

    Args:
        states (int): N.
        masked (bool): As in :func:`selective_scan`.
        ragged (bool): Whether a group's channels are not a multiple of LANES.
        double (bool): float64 instead of float32.

    Returns:
        int: Its address; it takes the address of its FORWARD_FIELDS.
    """
    cpu = this_cpu()
    k = Kernel('scan_forward', FORWARD_FIELDS, double, cpu.features)
    rows = Table(k, CHUNK, 'dt', 'dtu', 'y')
    block = _block(states, 16)
    h = [k.variable(0) for _ in range(block)]

    with k.parallel_loop(k.counter, k.tasks) as index:
        task = Task(k, index, CHUNK)
        with k.loop(task.chunks) as chunk, k.loop(task.tiles) as i:
            tile = _tile(task, chunk, i, states, ragged)
            A_rows, carry = (tile.scratch + n * states * k.size for n in range(2))
            with k.if_then(chunk.is_(0)):
                tile.weights('A', states, A_rows, LOG2_E)
            largest, D, bias = (
                k.variable(0),
                tile.weight('D'),
                tile.weight('delta_bias'),
            )
            with k.loop(tile.count) as t:
                dt, _ = _step_size(k, tile, t, bias, largest)
                u = tile.load('u', t)
                rows.set(t, dt=dt, dtu=dt * u, y=D * u)

            with k.loop(states // block) as b:
                A = tile.load_rows(A_rows, b, block)
                with k.if_else(chunk.is_(0)) as (start, later):
                    with start:
                        first = k.select(k.residual.is_(1), tile.load('u', 0), 0)
                        for h_n in h:
                            h_n.set(first)
                    with later:
                        for h_n, x in zip(h, tile.load_rows(carry, b, block)):
                            h_n.set(x)
                with k.if_then(k.states.is_not(0)):
                    tile.store_rows(tile.states, b, h)
                for in_range in _in_range_or_not(k, largest.get(), A):
                    with k.loop(tile.count) as t:
                        dt, dtu, y = rows.get(t, 'dt', 'dtu', 'y')
                        for n in range(block):
                            B, C = _weights(tile, b * block + n, t)
                            a = exp2(dt, A[n], in_range, large_table=True)
                            p = a * h[n].get()  # exp(dt A) h
                            new = dtu.fma(B, p)  # p + dt u B
                            h[n].set(new)
                            y = C.fma(p if masked else new, y)
                        rows.set(t, y=y)
                tile.store_rows(carry, b, h)
            if masked:  # the first token reads nothing
                with k.if_then(chunk.is_(0)):
                    rows.set(k.int(0), y=D * tile.load('u', 0))

            y = k.variable(0)
            with k.loop(tile.count) as t:
                y.set(*rows.get(t, 'y'))
                with k.if_then(k.add.is_not(0)):
                    y.set(y.get() + tile.load('add', t))
                with k.if_then(k.ungated.is_not(0)):
                    tile.store('ungated', t, y.get())
                with k.if_then(k.z.is_not(0)):
                    z = tile.load('z', t)
                    y.set(y.get() * (z * sigmoid(z)))
                tile.store('y', t, y.get())
    return cpu.compile(k)


@lru_cache
def backward(states: int, masked: bool, ragged: bool, double: bool) -> int:
    """Compile the backward kernel; arguments and result are those of forward."""
    cpu = this_cpu()
    k = Kernel('scan_backward', BACKWARD_FIELDS, double, cpu.features)
    walk = _BackwardWalk(k, states, masked)

    with k.parallel_loop(k.counter, k.tasks) as index:
        task = Task(k, index, CHUNK, down=True)
        with k.loop(task.chunks, down=True) as chunk:
            walk.start_chunk(task.count(chunk))
            with k.loop(task.tiles) as i:
                walk.walk_tile(_tile(task, chunk, i, states, ragged), task, chunk)
            walk.end_chunk(_tile(task, chunk, k.int(0), states, ragged), task)
        arrived = k.atomic_add(k.arrivals + task.row * 8, 1)
        with k.if_then(arrived.is_(k.parts - 1)):  # the last task of the row
            _sum_parts(task, states, ragged)
    return cpu.compile(k)


class _BackwardWalk:
    """A task's walk from its last chunk to the first, and the memory that it needs."""

    def __init__(self, k, states, masked):
        self.k, self.states, self.masked = k, states, masked
        names = 'dt', 'dtu', 'slope', 'dread', 'skip', 'ddtu', 'dx', 'own'
        self.rows = Table(k, CHUNK, *names)
        block = self.block = _block(states, 8)
        variables = ([k.variable(0) for _ in range(block)] for _ in range(3))
        self.h, self.g, self.dA = variables
        self.walked = Table(k, CHUNK * block, 'a', 'p')
        self.sums = Table(k, CHUNK * states, 'dB', 'dC')  # over the task's channels

    def start_chunk(self, count):
        """Clear what all tiles of a chunk of ``count`` tokens add to."""
        k = self.k
        with k.loop(count) as t:
            self.rows.set(t, own=k.lanes(0))
            with k.loop(self.states) as n:
                self.sums.set(t * self.states + n, dB=k.lanes(0), dC=k.lanes(0))

    def walk_tile(self, tile, task, chunk):
        """The three passes over a tile of the chunk."""
        k, states = self.k, self.states
        ends = chunk.is_(task.chunks - 1)  # nothing reads the last state
        A_rows, carry, dA_rows = (tile.scratch + n * states * k.size for n in range(3))
        with k.if_then(ends):
            tile.weights('A', states, A_rows, LOG2_E)
        D, bias, zero = tile.weight('D'), tile.weight('delta_bias'), k.lanes(0)
        places = [tile.sum_weight(name) for name in ('dD', 'ddelta_bias')]
        dD, dbias = (
            k.variable(k.select(ends, 0, k.load(x, tile.mask))) for x in places
        )

        largest = self._prepare_tokens(tile, D, bias, dD)
        if self.masked:
            with k.if_then(chunk.is_(0)):
                self.rows.set(k.int(0), dread=zero)
        with k.loop(states // self.block) as b:
            A = tile.load_rows(A_rows, b, self.block)
            self._recompute(tile, b, A, largest)
            for x, kept in ((self.g, carry), (self.dA, dA_rows)):
                for x_n, value in zip(x, tile.load_rows(kept, b, self.block)):
                    x_n.set(k.select(ends, 0, value))
            self._walk_back(tile, b, A)
            tile.store_rows(carry, b, self.g)
            tile.store_rows(dA_rows, b, self.dA)
        self._store_tokens(tile, dbias)

        for place, x in zip(places, (dD, dbias)):
            k.store(place, x.get(), tile.mask)
        with k.if_then(chunk.is_(0)):
            tile.store_weights('dA', states, dA_rows)
        with k.if_then(k.builder.and_(chunk.is_(0), k.residual.is_(1))):
            du = k.variable(tile.load('du', 0))
            with k.loop(states) as n:
                du.set(du.get() + k.load(carry + n * k.size))
            tile.store('du', 0, du.get())

    def _prepare_tokens(self, tile, D, bias, dD):
        """The first pass; returns the largest step size."""
        k, rows = self.k, self.rows
        dread, largest = k.variable(0), k.variable(0)
        with k.loop(tile.count) as t:
            dt, slope = _step_size(k, tile, t, bias, largest)
            u = tile.load('u', t)
            dread.set(tile.load('dy', t))
            with k.if_then(k.z.is_not(0)):
                dread.set(_gate_backward(tile, t, dread.get()))
            dD.set(dread.get().fma(u, dD.get()))
            rows.set(t, dt=dt, dtu=dt * u, slope=slope, skip=dread.get() * D)
            rows.set(t, dread=dread.get())
            if not self.masked:
                (own,) = rows.get(t, 'own')
                rows.set(t, own=dread.get().fma(dt * u, own))
        return largest

    def _recompute(self, tile, b, A, largest):
        """The states of a block, from those before the chunk."""
        k, block, h = self.k, self.block, self.h
        for h_n, x in zip(h, tile.load_rows(tile.states, b, block)):
            h_n.set(x)
        for in_range in _in_range_or_not(k, largest.get(), A):
            with k.loop(tile.count) as t:
                dt, dtu = self.rows.get(t, 'dt', 'dtu')
                for n in range(block):
                    B, _ = _weights(tile, b * block + n, t)
                    a = exp2(dt, A[n], in_range)
                    p = a * h[n].get()
                    h[n].set(dtu.fma(B, p))
                    self.walked.set(t * block + n, a=a, p=p)

    def _walk_back(self, tile, b, A):
        """The recurrence of a block's gradients."""
        k, block, g, dA = self.k, self.block, self.g, self.dA
        with k.loop(tile.count, down=True) as t:
            dt, dtu, dread = self.rows.get(t, 'dt', 'dtu', 'dread')
            before = self.rows.get(t, 'ddtu', 'dx')
            ddtu, dx = (k.select(b.is_(0), 0, x) for x in before)
            for n in range(block):
                B, C = _weights(tile, b * block + n, t)
                a, p = self.walked.get(t * block + n, 'a', 'p')
                at = t * self.states + b * block + n
                dB, dC = self.sums.get(at, 'dB', 'dC')
                # g: gradient of h from later tokens, then from here on
                dp = dread.fma(C, g[n].get())
                dnew = g[n].get() if self.masked else dp
                self.sums.set(at, dB=dnew.fma(dtu, dB), dC=dread.fma(p, dC))
                ddtu = dnew.fma(B, ddtu)
                q = dp * p  # gradient of dt A
                dx = q.fma(A[n], dx)
                dA[n].set(q.fma(dt, dA[n].get()))
                g[n].set(dp * a)
            self.rows.set(t, ddtu=ddtu, dx=dx)

    def _store_tokens(self, tile, dbias):
        """The third pass."""
        k, rows = self.k, self.rows
        with k.loop(tile.count) as t:
            dt, ddtu, dx = rows.get(t, 'dt', 'ddtu', 'dx')
            slope, skip = rows.get(t, 'slope', 'skip')
            ddt = dx.fma(k.lanes(math.log(2)), ddtu * tile.load('u', t))
            ddelta = ddt * slope
            dbias.set(dbias.get() + ddelta)
            tile.store('ddelta', t, ddelta)
            tile.store('du', t, ddtu.fma(dt, skip))

    def end_chunk(self, tile, task):
        """Store the chunk's gradients of B and C, summed over channels."""
        k, states = self.k, self.states
        with k.loop(tile.count) as t:
            own = k.sum(*self.rows.get(t, 'own'))
            for n, mask in _in_lanes(k, states):
                some = range(n, min(n + LANES, states))
                B_and_C = [self.sums.get(t * states + m, 'dB', 'dC') for m in some]
                dB, dC = (k.sums(x) for x in zip(*B_and_C))
                if not self.masked:  # C reads the token's own dt * B * u as well
                    B = k.load(tile.at('B', t) + n * k.item, mask)
                    dC = own.fma(B, dC)
                for name, x in (('dB', dB), ('dC', dC)):
                    place = tile.at(name, t) + task.part * k.part
                    k.store(place + n * k.item, x, mask)


def _sum_parts(task, states, ragged):
    """Add the tasks' gradients of B and C to those of the first."""
    k = task.k
    x = k.variable(0)
    with k.loop(task.chunks) as chunk:
        tile = _tile(task, chunk, k.int(0), states, ragged)
        with k.loop(tile.count) as t:
            for name in ('dB', 'dC'):
                for n, mask in _in_lanes(k, states):
                    place = tile.at(name, t) + n * k.item
                    x.set(k.load(place, mask))
                    with k.loop(k.parts - 1) as part:
                        other = k.load(place + (part + 1) * k.part, mask)
                        x.set(x.get() + other)
                    k.store(place, x.get(), mask)


def _in_lanes(k, states):
    """Index of the first of each LANES states, and the mask of those that there are."""
    for n in range(0, states, LANES):
        yield n, None if n + LANES <= states else k.tail_mask(states - n)


def _tile(task, chunk, i, states, ragged):
    shared = 'B', 'C', 'dB', 'dC'
    return Tile(task, chunk, i, ragged, rows=3 * states, states=states, shared=shared)


def _weights(tile, n, t):
    """B and C of a token for one state, the same in all lanes."""
    k = tile.k
    return tuple(k.broadcast(tile.at(name, t) + n * k.item) for name in ('B', 'C'))


def _block(states, most):
    """How many states to keep in registers at a time: a divisor of all."""
    return max(n for n in range(1, most + 1) if states % n == 0)


def _in_range_or_not(k, largest, A):
    """Emit a loop twice: for products in the range of the fast ``exp2``, and others."""
    positive = k.delta_softplus.is_(1)
    with k.if_else(is_in_range(largest, A, positive)) as (usual, rare):
        with usual:
            yield True
        with rare:
            yield False


def _step_size(k, tile, t, bias, largest):
    """A token's dt and its derivative by delta; keeps track of the largest dt."""
    x = tile.load('delta', t) + bias
    dt, slope = k.variable(x), k.variable(1)
    with k.if_then(k.delta_softplus.is_(1)):
        for variable, value in zip((dt, slope), softplus(x)):
            variable.set(value)
    largest.set(largest.get().bits().max(abs(dt.get()).bits()).lanes())
    return dt.get(), slope.get()


def _gate_backward(tile, t, dy):
    """Store dz and dadd of y = ungated * silu(z); return the gradient of ungated."""
    z = tile.load('z', t)
    s = sigmoid(z)
    silu = z * s
    slope = silu.fma(tile.k.lanes(1) - s, s)
    tile.store('dz', t, dy * tile.load('ungated', t) * slope)
    dungated = dy * silu
    with tile.k.if_then(tile.k.dadd.is_not(0)):
        tile.store('dadd', t, dungated)
    return dungated
