"""What it takes to scan the segments of a sequence side by side.

As in Mamba-2's chunked scan: ``chunk_state`` scans each segment as if it started from
zero states, ``state_passing`` goes from segment to segment and computes the states that
each really starts from. Then ``chunk_scan`` can scan them all at once. Backward is
alike, with gradients of states and ``chunk_scan_bwd_dstates``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .arithmetic import LOG2_E, NO_STEP, sigmoid, token_step
from .tiles import (
    as_tokens,
    at_BC,
    at_slot,
    decay,
    flat_states,
    load_turn,
    locate,
    of_clip,
    spread,
    store_channels,
    weight,
)

BLOCK = tl.constexpr(128)


@triton.jit
def chunk_state(
    directions,
    BC,
    states,
    dt_sums,  # (directions, rows, segments, channels)
    sizes,
    fixed: tl.constexpr,
):
    """The states after each segment. Grid: (rows * tiles, segments - 1, directions)."""
    COUNT: tl.constexpr = fixed.COUNT
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            _chunk_state(directions[j], BC, states, dt_sums, sizes, j, fixed)


@triton.jit
def _chunk_state(d, BC, states, dt_sums, sizes, j, fixed):
    FOURS: tl.constexpr = fixed.FOURS
    REVERSE: tl.constexpr = fixed.REVERSE[j]
    by: tl.constexpr = -1 if REVERSE else 1
    place = locate(sizes, fixed)
    A, bias = decay(d, place, fixed), weight(d.bias, place)

    segment = tl.program_id(1) + REVERSE  # not the last in scan order
    start = segment * sizes.per * fixed.CHUNK
    end = min(start + sizes.per * fixed.CHUNK, sizes.length)
    t0 = tl.cast(end - 1 if REVERSE else start, tl.int64)
    at_u = of_clip(d.u, place) + t0 * fixed.U_STEP
    at_delta = of_clip(d.delta, place) + t0 * fixed.DELTA_STEP
    at_B = at_BC(BC, sizes, place, j, fixed) + t0 * (8 * fixed.R)
    h, dt_sum = tl.zeros_like(A), tl.zeros_like(bias)
    count = end - start
    for i in range(0, count, 4 * FOURS):
        us = load_turn(at_u, place, i, count, fixed.U_STEP, by, fixed)
        deltas = load_turn(
            at_delta, place, i, count, fixed.DELTA_STEP, by, fixed, NO_STEP
        )
        for k in tl.static_range(FOURS):
            t = i + 4 * k
            valid = (t + place.token < count) & place.inside
            dt, _ = token_step(deltas[k], bias, valid, fixed.SOFTPLUS)
            dt_sum += dt
            dtu = dt * us[k].to(tl.float32)
            pairs = spread(as_tokens(dt, fixed), as_tokens(dtu, fixed))
            for m in tl.static_range(4):
                B = tl.load(at_B + by * (t + m) * (8 * fixed.R) + place.state)
                h = tl.exp2(pairs[m][0] * A) * h + pairs[m][1] * B
    following = segment * sizes.per - 1 if REVERSE else (segment + 1) * sizes.per
    slot = at_slot(states, sizes, place, j, sizes.chunks, following, fixed)
    tl.store(slot, flat_states(h), place.slot_inside)
    store_channels(dt_sums, sizes, place, j, segment, dt_sum, fixed)


@triton.jit
def chunk_scan_bwd_dstates(
    directions,
    BC,
    z,
    dy,
    dstates,  # (directions, rows, segments, 4, channels, R)
    dt_sums,
    sizes,
    fixed: tl.constexpr,
):
    """Gradients of the states before each segment, if those after it have none.

    Grid: as of ``chunk_state``.
    """
    COUNT: tl.constexpr = fixed.COUNT
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            _chunk_dstates(directions[j], BC, z, dy, dstates, dt_sums, sizes, j, fixed)


@triton.jit
def _chunk_dstates(d, BC, z, dy, dstates, dt_sums, sizes, j, fixed):
    FOURS: tl.constexpr = fixed.FOURS
    REVERSE: tl.constexpr = fixed.REVERSE[j]
    by: tl.constexpr = 1 if REVERSE else -1  # against the order of the scan
    place = locate(sizes, fixed)
    A, bias = decay(d, place, fixed), weight(d.bias, place)

    # not the first in scan order, which no other hands its states to
    segment = tl.program_id(1) + 1 - REVERSE
    start = segment * sizes.per * fixed.CHUNK
    end = min(start + sizes.per * fixed.CHUNK, sizes.length)
    t0 = tl.cast(start if REVERSE else end - 1, tl.int64)
    at_delta = of_clip(d.delta, place) + t0 * fixed.DELTA_STEP
    at_dy = dy + (place.batch * sizes.length + t0) * fixed.STEP
    if z is not None:
        at_z = of_clip(z, place) + t0 * fixed.Z_STEP
    at_C = at_BC(BC, sizes, place, j, fixed) + t0 * (8 * fixed.R) + 4 * fixed.R
    g, dt_sum = tl.zeros_like(A), tl.zeros_like(bias)
    count = end - start
    for i in range(0, count, 4 * FOURS):
        deltas = load_turn(
            at_delta, place, i, count, fixed.DELTA_STEP, by, fixed, NO_STEP
        )
        dys = load_turn(at_dy, place, i, count, fixed.STEP, by, fixed)
        if z is not None:
            gates = load_turn(at_z, place, i, count, fixed.Z_STEP, by, fixed)
        for k in tl.static_range(FOURS):
            t = i + 4 * k
            valid = (t + place.token < count) & place.inside
            dt, _ = token_step(deltas[k], bias, valid, fixed.SOFTPLUS)
            dt_sum += dt
            dread = dys[k].to(tl.float32)
            if z is not None:
                gate = gates[k].to(tl.float32)
                dread *= gate * sigmoid(gate)
            pairs = spread(as_tokens(dt, fixed), as_tokens(dread, fixed))
            for m in tl.static_range(4):
                C = tl.load(at_C + by * (t + m) * (8 * fixed.R) + place.state)
                g = tl.exp2(pairs[m][0] * A) * (g + pairs[m][1] * C)
    before = segment + 1 if REVERSE else segment - 1
    slot = at_slot(dstates, sizes, place, j, sizes.segments, before, fixed)
    tl.store(slot, flat_states(g), place.slot_inside)
    store_channels(dt_sums, sizes, place, j, segment, dt_sum, fixed)


@triton.jit
def state_passing(
    directions,
    states,  # (directions, rows, slots, 4, channels, R), a slot for each segment
    dt_sums,
    sizes,
    slots,
    fixed: tl.constexpr,
    BACK: tl.constexpr,  # gradients, against the order of the scan
):
    """Replace what segments add by the states that they start from.

    Grid: (rows * blocks of a slot, 1, directions).
    """
    COUNT: tl.constexpr = fixed.COUNT
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            _state_passing(directions[j], states, dt_sums, sizes, slots, j, fixed, BACK)


@triton.jit
def _state_passing(d, states, dt_sums, sizes, slots, j, fixed, BACK):
    DOWN: tl.constexpr = fixed.REVERSE[j] != BACK
    size = 4 * fixed.R * sizes.channels
    blocks = tl.cdiv(size, BLOCK)
    row = tl.program_id(0) // blocks
    group = row % sizes.groups * sizes.channels  # its first channel
    i = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    channel = i // fixed.R % sizes.channels
    n = i // fixed.R // sizes.channels * fixed.R + i % fixed.R
    A = tl.load(d.A + (group + channel) * fixed.N + n, (i < size) & (n < fixed.N), 0.0)
    A = A.to(tl.float32) * LOG2_E
    h = tl.zeros([BLOCK], tl.float32)
    if fixed.RESIDUAL and not BACK:
        first = tl.cast(sizes.length - 1 if DOWN else 0, tl.int64) * fixed.U_STEP
        u = d.u.data + (row // sizes.groups).to(tl.int64) * d.u.batch + first
        h += tl.load(u + group + channel, i < size, 0.0).to(tl.float32)

    row = (j * sizes.rows + row).to(tl.int64)
    dt_sums += row * sizes.segments * sizes.channels + channel
    states += row * slots * size + i
    for s in range(0, sizes.segments, 4):  # their loads wait for memory together
        added, decays = (), ()
        for k in tl.static_range(4):
            exists = (i < size) & (s + k + 1 + i * 0 < sizes.segments)
            at = _slot(sizes, slots, s + k + 1, DOWN) * size
            added += (tl.load(states + at, exists, 0.0),)
            segment = sizes.segments - 1 - s - k if DOWN else s + k
            dt_sum = tl.load(dt_sums + segment * sizes.channels, exists, 0.0)
            decays += (tl.exp2(dt_sum * A),)
        for k in tl.static_range(4):
            exists = (i < size) & (s + k + i * 0 < sizes.segments)
            at = _slot(sizes, slots, s + k, DOWN) * size
            tl.store(states + at, h, exists)
            left = tl.where(h == 0, 0.0, decays[k] * h)  # nothing of 0, not NaN
            h = added[k] + left


@triton.jit
def _slot(sizes, slots, index, DOWN):
    """The slot of the index-th segment, which is that of its first chunk."""
    per = tl.cdiv(slots, sizes.segments)
    slot = min(slots, (sizes.segments - index) * per) - 1 if DOWN else index * per
    return tl.cast(slot, tl.int64)
