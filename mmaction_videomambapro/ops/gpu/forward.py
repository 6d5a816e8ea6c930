"""The forward kernel of the scan.

A program scans one segment of a tile of channels in one direction, four tokens at a
time. Two directions take two launches. In the first, each scans the segments that come
first in its order, and stores what it adds to y. In the second, each scans the rest,
adds what the other one stored, and applies the gate. Commonly a sequence has just two
segments, and the first launch hands its last states to the second; ``segments`` has
what it takes to scan more of them side by side.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .arithmetic import NO_STEP, sigmoid, token_step
from .tiles import (
    as_states,
    as_tokens,
    at_BC,
    at_slot,
    decay,
    dot,
    flat_states,
    flat_tokens,
    load_turn,
    locate,
    of_clip,
    offsets,
    only,
    over_states,
    spread,
    weight,
)


@triton.jit
def chunk_scan(
    directions,
    BC,
    z,
    outputs,
    states,  # before each chunk: (directions, rows, chunks, 4, channels, R)
    sizes,
    fixed: tl.constexpr,
    FINAL: tl.constexpr,  # the last launch
    KEEP: tl.constexpr,  # store the states before all chunks
    HAND_ON: tl.constexpr,  # store the last ones, for the next segment
):
    """Grid: (rows * tiles, segments, directions)."""
    COUNT: tl.constexpr = fixed.COUNT
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            segment, end = tl.program_id(1), sizes.segments
            if COUNT == 2:
                if fixed.REVERSE[j] != FINAL:
                    segment += end // 2
                else:
                    end = end // 2
            if segment < end:
                _scan_segment(
                    directions[j], BC, z, outputs, states, sizes, segment, j, fixed,
                    FINAL, KEEP, HAND_ON,
                )  # fmt: skip


@triton.jit
def _scan_segment(
    d, BC, z, outputs, states, sizes, segment, j, fixed, FINAL, KEEP, HAND_ON
):  # fmt: skip
    REVERSE: tl.constexpr = fixed.REVERSE[j]
    by: tl.constexpr = -1 if REVERSE else 1
    FOURS: tl.constexpr = fixed.FOURS
    MASKED: tl.constexpr = fixed.MASKED[j]
    ADD: tl.constexpr = FINAL and fixed.COUNT == 2
    place = locate(sizes, fixed)
    u, delta = of_clip(d.u, place), of_clip(d.delta, place)
    own = place.batch * sizes.length * fixed.STEP
    A, D, bias = decay(d, place, fixed), weight(d.D, place), weight(d.bias, place)
    BC = at_BC(BC, sizes, place, j, fixed)

    first = segment * sizes.per
    last = min(first + sizes.per, sizes.chunks) - 1
    c = last if REVERSE else first
    start = at_slot(states, sizes, place, j, sizes.chunks, c, fixed)
    begin = sizes.length - 1 if REVERSE else 0  # the first token in scan order
    begins = segment == (sizes.segments - 1 if REVERSE else 0)
    h = as_states(tl.load(start, only(not begins, place.slot_inside), 0.0), fixed)
    if fixed.RESIDUAL:
        u0 = u + tl.cast(begin, tl.int64) * fixed.U_STEP + place.channel
        u0 = tl.load(u0, only(begins, place.inside), 0.0).to(tl.float32)
        h += as_tokens(u0, fixed)[None]  # the same in all four rows

    for n in range(last - first + 1):
        c = last - n if REVERSE else first + n
        if KEEP:
            slot = at_slot(states, sizes, place, j, sizes.chunks, c, fixed)
            tl.store(slot, flat_states(h), place.slot_inside)
        count = min(fixed.CHUNK, sizes.length - c * fixed.CHUNK)
        t0 = tl.cast(c * fixed.CHUNK + (count - 1 if REVERSE else 0), tl.int64)
        at_u, at_delta = u + t0 * fixed.U_STEP, delta + t0 * fixed.DELTA_STEP
        at_own = own + t0 * fixed.STEP
        if z is not None and FINAL:
            at_z = of_clip(z, place) + t0 * fixed.Z_STEP
        at_B = BC + t0 * (8 * fixed.R)
        for i in range(0, count, 4 * FOURS):
            # all loads of a turn come before its first barrier
            us = load_turn(at_u, place, i, count, fixed.U_STEP, by, fixed)
            deltas = load_turn(
                at_delta, place, i, count, fixed.DELTA_STEP, by, fixed, NO_STEP
            )
            if ADD:
                at = outputs.partial + at_own
                partials = load_turn(at, place, i, count, fixed.STEP, by, fixed)
            if FINAL and z is not None:
                gates = load_turn(at_z, place, i, count, fixed.Z_STEP, by, fixed)
            for k in tl.static_range(FOURS):
                t = i + 4 * k
                valid = (t + place.token < count) & place.inside
                u1 = us[k].to(tl.float32)
                dt, _ = token_step(deltas[k], bias, valid, fixed.SOFTPLUS)
                B = at_B + by * t * (8 * fixed.R)
                h, y = _scan_four(h, u1, dt, B, A, place.state, by, MASKED, fixed)
                y += D * u1
                if ADD:
                    y += partials[k].to(tl.float32)
                to = offsets(place, t, fixed.STEP, by)
                if FINAL:
                    if outputs.ungated is not None:
                        tl.store(outputs.ungated + at_own + to, y, valid)
                    if z is not None:
                        gate = gates[k].to(tl.float32)
                        y *= gate * sigmoid(gate)
                    tl.store(outputs.y + at_own + to, y, valid)
                else:
                    tl.store(outputs.partial + at_own + to, y, valid)
    if HAND_ON:
        c = first - 1 if REVERSE else last + 1
        exists = (c >= 0) & (c < sizes.chunks)
        mask = only(exists, place.slot_inside)
        slot = at_slot(states, sizes, place, j, sizes.chunks, c, fixed)
        tl.store(slot, flat_states(h), mask)


@triton.jit
def _scan_four(h, u, dt, at_B, A, state, by, MASKED, fixed):
    """Four tokens: the states after them, and what they read out."""
    pairs = spread(as_tokens(dt, fixed), as_tokens(dt * u, fixed))
    read = ()
    for j in tl.static_range(4):
        at = at_B + by * j * (8 * fixed.R)
        B, C = tl.load(at + state), tl.load(at + 4 * fixed.R + state)
        p = tl.exp2(pairs[j][0] * A) * h
        h = p + pairs[j][1] * B
        read += (dot(p if MASKED else h, C),)
    return h, flat_tokens(over_states(read))
