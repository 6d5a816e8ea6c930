"""The selective scan as Triton kernels.

The tokens of a sequence are divided into chunks that are scanned side by side, both
directions of a mixer together, in the three passes of Mamba-2's chunked scan:

1. ``chunk_state``: the states after each chunk, as if it started from zero;
2. ``state_passing``: one chunk after the other, the states that each starts from;
3. ``chunk_scan``: each chunk once more from there, with the output. A program does both
   directions of its chunk, so that their sum and its gate need no pass of their own.

Backward is alike: ``chunk_scan_bwd_dstates`` walks each chunk back from a zero gradient
of the states after it, ``state_passing`` passes these on from chunk to chunk, and
``chunk_scan_bwd`` computes all other gradients. It stores the states before every
fourth token while it walks its chunk forward, and then walks it back in fours.

A program is one warp and works on a tile [STATES, CHANNELS]: all states, filled up to
a power of 2, of a channel for each thread, so that a sum over states stays within a
thread. What belongs to channels alone is [1, CHANNELS], to states alone [STATES, 1].
Arguments in capitals, and j, the index of a direction, are compile-time constants.

States and their gradients are float32. No result depends on the order in which
programs run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from ..polynomials import log1p_coefficients

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
C8, C7, C6, C5, C4, C3, C2, C1, C0 = map(tl.constexpr, log1p_coefficients(8))
CHANNELS = tl.constexpr(32)  # of a tile


class Array(NamedTuple):
    """(B, L, D), or (B, G, L, N), and its steps; those of D and N are 1."""

    data: Any
    batch: int
    group: int
    token: int


class Direction(NamedTuple):
    """u, delta (B, L, D), B, C (B, G, L, N), A (D, N); D, delta_bias (D,) or None."""

    u: Array
    delta: Array
    B: Array
    C: Array
    A: Any
    D: Any
    delta_bias: Any


class Chunks(NamedTuple):
    """What is passed from chunk to chunk."""

    states: Any  # or their gradients: (directions, rows, chunks, N, padded)
    dt_sums: Any  # of step sizes: (directions, rows, chunks, padded)


class Shared(NamedTuple):
    """What directions share in backward, (B, L, D). Without a gate, dy alone."""

    z: Array
    dy: Array
    ungated: Array
    dz: Array


class Outputs(NamedTuple):
    """Where ``chunk_scan`` stores, (B, L, D)."""

    y: Array
    partial: Array  # the first direction's, may share memory with the others
    ungated: Any  # or None


class Gradients(NamedTuple):
    """Of one direction's tokens; dB and dC are those of the first part."""

    du: Array
    ddelta: Array
    dB: Array
    dC: Array


class Sums(NamedTuple):
    """Sums of gradients for each chunk."""

    dA: Any  # (directions, rows, chunks, N, padded)
    dD: Any  # (directions, rows, chunks, padded)
    dbias: Any  # the same


class Tile(NamedTuple):
    """What all tokens of a tile have in common in backward."""

    d: Direction
    shared: Shared
    gradients: Gradients
    sizes: Sizes
    place: Place
    part_at: Any  # from the first part's dB to this one's
    add: Any  # to dB and dC of the part's earlier tiles
    A: Any
    D: Any
    bias: Any


class Step(NamedTuple):
    """A token in the forward walk; a is the decay, p what it leaves of the states."""

    a: Any
    p: Any
    u: Any
    dt: Any
    slope: Any


class Sizes(NamedTuple):
    """``channels`` are those of a group, ``padded`` of whole tiles; rows are B * G."""

    rows: int
    groups: int
    channels: int
    padded: int
    length: int
    chunk: int
    chunks: int


class Place(NamedTuple):
    """Where a program works; ``inside`` and ``real`` mask channels and states."""

    row: Any
    batch: Any
    group: Any
    lane: Any  # channels within the tile
    within: Any  # within the group
    channel: Any
    inside: Any
    state: Any
    real: Any


@triton.jit
def chunk_state(
    directions,
    chunks,
    sizes,
    N: tl.constexpr,
    STATES: tl.constexpr,
    COUNT: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    REVERSE: tl.constexpr,  # a bit for each direction, like MASKED
):
    """Scan chunks from zero. Grid: (rows * tiles, chunks - 1, directions)."""
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            d = directions[j]
            _chunk_state(d, chunks, sizes, j, N, STATES, SOFTPLUS, (REVERSE >> j) & 1)


@triton.jit
def _chunk_state(d, chunks, sizes, j, N, STATES, SOFTPLUS, REVERSE):
    place = _place(sizes, tl.program_id(0), N, STATES)
    chunk = tl.program_id(1) + REVERSE  # not the last in scan order
    start, count = _tokens_of(sizes, chunk)
    A, bias = _decay(d, place, N), _weight(d.delta_bias, place)
    h = tl.zeros([STATES, CHANNELS], tl.float32)
    dt_sum = tl.zeros([1, CHANNELS], tl.float32)
    for i in range(count):
        t = start + (count - 1 - i if REVERSE else i)
        u, dt, _ = _step_size(d, bias, place, t, True, SOFTPLUS)
        h = tl.exp2(dt * A) * h + dt * u * _states(d.B, place, t, True)
        dt_sum += dt
    _store_chunk(chunks, sizes, place, j, chunk, h, dt_sum, N)


@triton.jit
def chunk_scan_bwd_dstates(
    directions,
    z,
    dy,
    chunks,
    sizes,
    N: tl.constexpr,
    STATES: tl.constexpr,
    COUNT: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Walk chunks back from zero. Grid: (rows * tiles, chunks - 1, directions)."""
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            reverse: tl.constexpr = (REVERSE >> j) & 1
            _chunk_scan_bwd_dstates(
                directions[j], z, dy, chunks, sizes, j, N, STATES, SOFTPLUS, reverse
            )


@triton.jit
def _chunk_scan_bwd_dstates(d, z, dy, chunks, sizes, j, N, STATES, SOFTPLUS, REVERSE):
    place = _place(sizes, tl.program_id(0), N, STATES)
    # not the first in scan order: it has the token that a mask treats differently
    chunk = tl.program_id(1) + 1 - REVERSE
    start, count = _tokens_of(sizes, chunk)
    A, bias = _decay(d, place, N), _weight(d.delta_bias, place)
    g = tl.zeros([STATES, CHANNELS], tl.float32)
    dt_sum = tl.zeros([1, CHANNELS], tl.float32)
    for i in range(count):
        t = start + (i if REVERSE else count - 1 - i)
        _, dt, _ = _step_size(d, bias, place, t, True, SOFTPLUS)
        dread = _token(dy, place, t, True)
        if z is not None:
            gate = _token(z, place, t, True)
            dread *= gate * _sigmoid(gate)
        g = tl.exp2(dt * A) * (g + dread * _states(d.C, place, t, True))
        dt_sum += dt
    _store_chunk(chunks, sizes, place, j, chunk, g, dt_sum, N)


@triton.jit
def state_passing(
    directions,
    chunks,
    sizes,
    N: tl.constexpr,
    STATES: tl.constexpr,
    COUNT: tl.constexpr,
    RESIDUAL: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Replace states after each chunk by those before it. Grid: as of chunk_state,
    but 1 for chunks, which follow each other backwards where REVERSE says so.
    """
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            d = directions[j]
            _state_passing(d, chunks, sizes, j, N, STATES, RESIDUAL, (REVERSE >> j) & 1)


@triton.jit
def _state_passing(d, chunks, sizes, j, N, STATES, RESIDUAL, REVERSE):
    place = _place(sizes, tl.program_id(0), N, STATES)
    A = _decay(d, place, N)
    h = tl.zeros([STATES, CHANNELS], tl.float32)
    if RESIDUAL:
        h += _token(d.u, place, sizes.length - 1 if REVERSE else 0, True)
    last = 0 if REVERSE else sizes.chunks - 1
    by: tl.constexpr = -1 if REVERSE else 1
    for i in range(0, sizes.chunks, 4):  # their loads wait for memory together
        c = tl.cast(sizes.chunks - 1 - i if REVERSE else i, tl.int32)
        state0, sum0 = _load_chunk(chunks, sizes, place, j, c, last, N)
        state1, sum1 = _load_chunk(chunks, sizes, place, j, c + by, last, N)
        state2, sum2 = _load_chunk(chunks, sizes, place, j, c + 2 * by, last, N)
        state3, sum3 = _load_chunk(chunks, sizes, place, j, c + 3 * by, last, N)
        h = _pass_state(chunks, sizes, place, j, c, h, A, state0, sum0, N)
        h = _pass_state(chunks, sizes, place, j, c + by, h, A, state1, sum1, N)
        h = _pass_state(chunks, sizes, place, j, c + 2 * by, h, A, state2, sum2, N)
        h = _pass_state(chunks, sizes, place, j, c + 3 * by, h, A, state3, sum3, N)


@triton.jit
def chunk_scan(
    directions,
    z,
    states,
    outputs,
    sizes,
    N: tl.constexpr,
    STATES: tl.constexpr,
    COUNT: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    REVERSE: tl.constexpr,
    MASKED: tl.constexpr,
):
    """Scan chunks from their start. Grid: (rows * tiles, chunks)."""
    for j in tl.static_range(COUNT):
        if j > 0:
            tl.debug_barrier()  # other threads stored what this direction adds to
        d, reverse, masked = directions[j], (REVERSE >> j) & 1, (MASKED >> j) & 1
        _chunk_scan(
            d, z, states, outputs, sizes, j, N, STATES, COUNT, SOFTPLUS, reverse, masked
        )


@triton.jit
def _chunk_scan(
    d, z, states, outputs, sizes, j, N, STATES, COUNT, SOFTPLUS, REVERSE, MASKED
):
    place = _place(sizes, tl.program_id(0), N, STATES)
    chunk = tl.program_id(1)
    start, count = _tokens_of(sizes, chunk)
    A, bias = _decay(d, place, N), _weight(d.delta_bias, place)
    D = _weight(d.D, place)
    at = _tile(sizes, place, j, chunk, N)
    h = tl.load(states + at, place.inside & place.real, 0.0)
    for i in range(count):
        t = start + (count - 1 - i if REVERSE else i)
        u, dt, _ = _step_size(d, bias, place, t, True, SOFTPLUS)
        p = tl.exp2(dt * A) * h
        h = p + dt * u * _states(d.B, place, t, True)
        sum = _over_states((p if MASKED else h) * _states(d.C, place, t, True))
        if MASKED:  # the first token reads nothing
            sum = tl.where(t == (sizes.length - 1 if REVERSE else 0), 0.0, sum)
        sum += D * u
        if j > 0:
            sum += _token(outputs.partial, place, t, True)
        if j < COUNT - 1:
            _store_token(outputs.partial, place, t, True, sum)
        else:
            if outputs.ungated is not None:
                _store_token(outputs.ungated, place, t, True, sum)
            if z is not None:
                gate = _token(z, place, t, True)
                sum *= gate * _sigmoid(gate)
            _store_token(outputs.y, place, t, True, sum)


@triton.jit
def chunk_scan_bwd(
    directions,
    shared,
    states,
    dstates,
    scratch,  # (programs, chunk / 4, N, CHANNELS)
    gradients,  # of each direction
    sums,
    sizes,
    parts,
    part_step,  # from a part's dB to the next one's
    N: tl.constexpr,
    STATES: tl.constexpr,
    COUNT: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    RESIDUAL: tl.constexpr,
    REVERSE: tl.constexpr,
    MASKED: tl.constexpr,
):
    """Every gradient. Grid: any; programs take one item of work after the other.

    An item is a share of the channels, a part, of a chunk in one direction.
    """
    own = scratch + tl.program_id(0).to(tl.int64) * (sizes.chunk // 4 * N * CHANNELS)
    tiles = tl.cdiv(sizes.channels, CHANNELS)
    work = parts * sizes.chunks * sizes.rows * COUNT
    for item in range(tl.program_id(0), work, tl.num_programs(0)):
        part, chunk = item % parts, item // parts % sizes.chunks
        row = item // (parts * sizes.chunks) % sizes.rows
        direction = item // (parts * sizes.chunks * sizes.rows)
        begin = tiles * part // parts
        for index in range(begin, tiles * (part + 1) // parts):
            place = _place(sizes, row * tiles + index, N, STATES)
            part_at = part.to(tl.int64) * part_step
            for j in tl.static_range(COUNT):
                if direction == j:
                    d = directions[j]
                    tile = Tile(
                        d,
                        shared,
                        gradients[j],
                        sizes,
                        place,
                        part_at,
                        index > begin,
                        _decay(d, place, N),
                        _weight(d.D, place),
                        _weight(d.delta_bias, place),
                    )
                    _chunk_scan_bwd(
                        tile,
                        states,
                        dstates,
                        own,
                        sums,
                        chunk,
                        j,
                        N,
                        SOFTPLUS,
                        RESIDUAL,
                        (REVERSE >> j) & 1,
                        (MASKED >> j) & 1,
                    )
            tl.debug_barrier()  # the next tile adds to dB and dC


@triton.jit
def _chunk_scan_bwd(
    tile, states, dstates, own, sums, chunk, j, N, SOFTPLUS, RESIDUAL, REVERSE, MASKED
):
    """Gradients of a tile of channels of a chunk in one direction."""
    place, sizes = tile.place, tile.sizes
    start, count = _tokens_of(sizes, chunk)
    first = start + count - 1 if REVERSE else start  # in scan order
    by: tl.constexpr = -1 if REVERSE else 1
    here = place.inside & place.real
    at = _tile(sizes, place, j, chunk, N)
    local = place.state * CHANNELS + place.lane

    h = tl.load(states + at, here, 0.0)
    for i in range(count):
        if i % 4 == 0:
            tl.store(own + i // 4 * (N * CHANNELS) + local, h, here)
        _, h = _token_fwd(tile, h, first + by * i, True, SOFTPLUS)
    tl.debug_barrier()

    g = tl.load(dstates + at, here, 0.0)
    dD = tl.zeros([1, CHANNELS], tl.float32)
    totals = Sums(tl.zeros_like(g), dD, dD)
    fours = (count + 3) // 4
    for f in range(fours):
        i = (fours - 1 - f) * 4
        t0, t1 = first + by * i, first + by * (i + 1)
        t2, t3 = first + by * (i + 2), first + by * (i + 3)
        v0, v1, v2, v3 = i < count, i + 1 < count, i + 2 < count, i + 3 < count
        h = tl.load(own + i // 4 * (N * CHANNELS) + local, here, 0.0)
        step0, h = _token_fwd(tile, h, t0, v0, SOFTPLUS)
        step1, h = _token_fwd(tile, h, t1, v1, SOFTPLUS)
        step2, h = _token_fwd(tile, h, t2, v2, SOFTPLUS)
        step3, h = _token_fwd(tile, h, t3, v3, SOFTPLUS)
        g, totals = _token_bwd(tile, t3, v3, step3, g, totals, j, REVERSE, MASKED)
        g, totals = _token_bwd(tile, t2, v2, step2, g, totals, j, REVERSE, MASKED)
        g, totals = _token_bwd(tile, t1, v1, step1, g, totals, j, REVERSE, MASKED)
        g, totals = _token_bwd(tile, t0, v0, step0, g, totals, j, REVERSE, MASKED)
    if RESIDUAL:
        begin = sizes.length - 1 if REVERSE else 0
        if first == begin:  # all states started as u of the first token
            tl.debug_barrier()
            du = _token(tile.gradients.du, place, begin, True) + _over_states(g)
            _store_token(tile.gradients.du, place, begin, True, du)
    tl.store(sums.dA + at, totals.dA, here)
    at = _channels(sizes, place, j, chunk)
    tl.store(sums.dD + at, totals.dD, place.inside)
    tl.store(sums.dbias + at, totals.dbias, place.inside)


@triton.jit
def _token_fwd(tile, h, t, valid, SOFTPLUS):
    """A token forward: what the backward walk needs of it, and the states."""
    d, place = tile.d, tile.place
    u, dt, slope = _step_size(d, tile.bias, place, t, valid, SOFTPLUS)
    a = tl.exp2(dt * tile.A)
    p = a * h
    return Step(a, p, u, dt, slope), p + dt * u * _states(d.B, place, t, valid)


@triton.jit
def _token_bwd(tile, t, valid, step, g, totals, j, REVERSE, MASKED):
    """A token back: stores its gradients, returns those that are not its own."""
    d, shared, gradients, sizes, place, part_at, add, A, D, _ = tile
    a, p, u, dt, slope = step
    B, C = _states(d.B, place, t, valid), _states(d.C, place, t, valid)
    dread = _token(shared.dy, place, t, valid)  # of what is read out of the states
    if shared.z is not None:
        z = _token(shared.z, place, t, valid)
        s = _sigmoid(z)
        if j == 0:
            ungated = _token(shared.ungated, place, t, valid)
            dz = dread * ungated * (s + z * s * (1 - s))
            _store_token(shared.dz, place, t, valid, dz)
        dread *= z * s
    dD = totals.dD + dread * u
    du = dread * D
    if MASKED:  # the first token reads nothing
        dread = tl.where(t == (sizes.length - 1 if REVERSE else 0), 0.0, dread)

    # g: gradient of the states from later tokens, then from here on
    dp = g + dread * C
    dnew = g if MASKED else dp
    read = p if MASKED else p + dt * u * B
    dB, dC = _over_channels(dnew * (dt * u), dread * read)
    _add_state(gradients.dB, place, t, valid, part_at, add, dB)
    _add_state(gradients.dC, place, t, valid, part_at, add, dC)

    ddtu = _over_states(dnew * B)
    q = dp * p  # gradient of dt * A
    ddelta = (_over_states(q * A) * LN_2 + ddtu * u) * slope
    _store_token(gradients.du, place, t, valid, du + ddtu * dt)
    _store_token(gradients.ddelta, place, t, valid, ddelta)
    dbias = totals.dbias + tl.where(valid, ddelta, 0.0)
    return dp * a, Sums(totals.dA + q * dt, dD, dbias)


# Places


@triton.jit
def _place(sizes, index, N, STATES):
    """The index-th tile of all rows."""
    tiles = tl.cdiv(sizes.channels, CHANNELS)
    row, tile = index // tiles, index % tiles
    state, lane = tl.arange(0, STATES)[:, None], tl.arange(0, CHANNELS)[None, :]
    within = tile * CHANNELS + lane
    group = row % sizes.groups
    return Place(
        row,
        (row // sizes.groups).to(tl.int64),
        group,
        lane,
        within,
        group * sizes.channels + within,
        within < sizes.channels,
        state,
        state < N,
    )


@triton.jit
def _tokens_of(sizes, chunk):
    """A chunk's first token, and how many it has."""
    start = chunk * sizes.chunk
    return start, min(sizes.chunk, sizes.length - start)


@triton.jit
def _channels(sizes, place, j, chunk):
    """Where a tile of (directions, rows, chunks, padded) lies."""
    at = ((j * sizes.rows + place.row) * sizes.chunks + chunk).to(tl.int64)
    return at * sizes.padded + place.within


@triton.jit
def _tile(sizes, place, j, chunk, N):
    """Where a tile of (directions, rows, chunks, N, padded) lies."""
    at = ((j * sizes.rows + place.row) * sizes.chunks + chunk).to(tl.int64)
    return (at * N + place.state) * sizes.padded + place.within


@triton.jit
def _at(x, place, t):
    at = place.batch * x.batch + tl.cast(place.group, tl.int64) * x.group
    return at + tl.cast(t, tl.int64) * x.token


@triton.jit
def _only(holds, mask):
    """The mask, if a number holds. (In Triton's interpreter & is wrong for these.)"""
    return tl.where(holds, mask, False)


# What lies there


@triton.jit
def _token(x, place, t, valid):
    """A token's channels."""
    at = x.data + _at(x, place, t) + place.channel
    return tl.load(at, _only(valid, place.inside), 0.0).to(tl.float32)


@triton.jit
def _store_token(x, place, t, valid, value):
    tl.store(
        x.data + _at(x, place, t) + place.channel, value, _only(valid, place.inside)
    )


@triton.jit
def _states(x, place, t, valid):
    """A token's B or C."""
    at = x.data + _at(x, place, t) + place.state
    return tl.load(at, _only(valid, place.real), 0.0).to(tl.float32)


@triton.jit
def _add_state(x, place, t, valid, part_at, add, value):
    """Store the sum over channels as dB or dC, or add it."""
    at = x.data + part_at + _at(x, place, t) + place.state
    if add:
        value += tl.load(at, _only(valid, place.real), 0.0)
    tl.store(at, value, _only(valid, place.real))


@triton.jit
def _weight(x, place):
    """One number per channel, 0 without an array."""
    if x is None:
        return tl.zeros(place.channel.shape, tl.float32)
    else:
        return tl.load(x + place.channel, place.inside, 0.0).to(tl.float32)


@triton.jit
def _decay(d, place, N):
    """A, for powers of 2."""
    at = d.A + place.channel * N + place.state
    return tl.load(at, place.inside & place.real, 0.0).to(tl.float32) * LOG2_E


@triton.jit
def _store_chunk(chunks, sizes, place, j, chunk, h, dt_sum, N):
    here = place.inside & place.real
    tl.store(chunks.states + _tile(sizes, place, j, chunk, N), h, here)
    tl.store(chunks.dt_sums + _channels(sizes, place, j, chunk), dt_sum, place.inside)


@triton.jit
def _load_chunk(chunks, sizes, place, j, chunk, last, N):
    """The states after a chunk and the sum of its steps; nothing follows the last."""
    exists = (chunk >= 0) & (chunk < sizes.chunks) & (chunk != last)
    inside = _only(exists, place.inside)
    at = chunks.states + _tile(sizes, place, j, chunk, N)
    h = tl.load(at, inside & place.real, 0.0)
    return h, tl.load(chunks.dt_sums + _channels(sizes, place, j, chunk), inside, 0.0)


@triton.jit
def _pass_state(chunks, sizes, place, j, chunk, h, A, state, dt_sum, N):
    """Store the states before a chunk, return those after it."""
    here = _only((chunk >= 0) & (chunk < sizes.chunks), place.inside) & place.real
    tl.store(chunks.states + _tile(sizes, place, j, chunk, N), h, here)
    decay = tl.exp2(dt_sum * A)
    return state + tl.where(h == 0, 0.0, decay * h)  # nothing is left of 0, not NaN


# Arithmetic


@triton.jit
def _over_states(x):
    return tl.sum(x, 0, keep_dims=True)


@triton.jit
def _over_channels(x, y):
    """Two sums over channels: each thread adds all parts of one, not a butterfly."""
    STATES: tl.constexpr = x.shape[0]
    x = tl.permute(tl.join(x, y), (0, 2, 1))
    x = tl.reshape(x, (STATES, 2, 2, 2, 2, 2, 2))
    for _ in tl.static_range(5):
        a, b = tl.split(x)
        x = a + b
    a, b = tl.split(x)
    return a[:, None], b[:, None]


@triton.jit
def _step_size(d, bias, place, t, valid, SOFTPLUS):
    """A token's u, its step size dt, and the derivative of dt by delta."""
    u, x = _token(d.u, place, t, valid), _token(d.delta, place, t, valid) + bias
    if SOFTPLUS:
        e = tl.exp2(-tl.abs(x) * LOG2_E)
        y = e * C8 + C7  # log1p(e) / e
        y = y * e + C6
        y = y * e + C5
        y = y * e + C4
        y = y * e + C3
        y = y * e + C2
        y = y * e + C1
        y = y * e + C0
        dt = tl.maximum(x, 0.0) + e * y
        slope = tl.where(x < 0, e, 1.0) / (1 + e)
    else:
        dt, slope = x, x * 0 + 1
    return u, tl.where(valid, dt, 0.0), slope


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp2(-x * LOG2_E))
