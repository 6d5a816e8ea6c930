"""The backward kernel of the scan.

A program walks back through one segment of a tile of channels in one direction, from
chunk to chunk. Forward has left the states before each chunk. From there a first walk
stores the states before every fourth token; then the chunk is walked back in fours,
whose states stay in registers.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .arithmetic import LN_2, NO_STEP, sigmoid, step_size, token_step
from .tiles import (
    as_states,
    as_tokens,
    at_BC,
    at_slot,
    decay,
    dot,
    flat_states,
    flat_tokens,
    locate,
    of_clip,
    offsets,
    only,
    over_channels,
    over_states,
    over_states_both,
    spread,
    spread_one,
    store_channels,
    weight,
)


@triton.jit
def chunk_scan_bwd(
    directions,
    BC,
    shared,
    states,  # as of ``chunk_scan``
    dstates,  # after each segment: (directions, rows, segments, 4, channels, R) or None
    scratch,  # (programs, CHUNK / 4, a tile of states)
    gradients,  # of each direction
    sums,
    sizes,
    fixed: tl.constexpr,
):
    """Every gradient. Grid: (rows * tiles, segments, directions)."""
    COUNT: tl.constexpr = fixed.COUNT
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            _walk_back(
                directions[j], BC, shared, states, dstates, scratch, gradients[j],
                sums, sizes, j, fixed,
            )  # fmt: skip


@triton.jit
def _walk_back(
    d, BC, shared, states, dstates, scratch, gradients, sums, sizes, j, fixed
):  # fmt: skip
    SIZE: tl.constexpr = 32 * fixed.R * fixed.Q * fixed.W
    REVERSE: tl.constexpr = fixed.REVERSE[j]
    MASKED: tl.constexpr = fixed.MASKED[j]
    DZ: tl.constexpr = shared.z is not None and j == 0
    by: tl.constexpr = -1 if REVERSE else 1
    place = locate(sizes, fixed)
    u, delta = of_clip(d.u, place), of_clip(d.delta, place)
    own = place.batch * sizes.length * fixed.STEP
    A, D, bias = decay(d, place, fixed), weight(d.D, place), weight(d.bias, place)
    BC = at_BC(BC, sizes, place, j, fixed)
    row = ((place.tile * fixed.COUNT + j) * sizes.rows + place.row).to(tl.int64)
    dBC = sums.dBC + row * sizes.length * (8 * fixed.R)
    program = tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)
    program = (program * tl.num_programs(0) + tl.program_id(0)).to(tl.int64)
    scratch += program * (fixed.CHUNK // 4 * SIZE)

    segment = tl.program_id(1)
    first = segment * sizes.per
    last = min(first + sizes.per, sizes.chunks) - 1
    begin = sizes.length - 1 if REVERSE else 0  # the first token in scan order
    g = tl.zeros_like(A)
    if dstates is not None:
        after = at_slot(dstates, sizes, place, j, sizes.segments, segment, fixed)
        g += as_states(tl.load(after, place.slot_inside, 0.0), fixed)
    dA, dD, dbias = tl.zeros_like(A), tl.zeros_like(D), tl.zeros_like(D)
    for n in range(last - first + 1):
        c = first + n if REVERSE else last - n
        count = min(fixed.CHUNK, sizes.length - c * fixed.CHUNK)
        t0 = tl.cast(c * fixed.CHUNK + (count - 1 if REVERSE else 0), tl.int64)
        at_u, at_delta = u + t0 * fixed.U_STEP, delta + t0 * fixed.DELTA_STEP
        at_own = own + t0 * fixed.STEP
        if shared.z is not None:
            at_z = of_clip(shared.z, place) + t0 * fixed.Z_STEP
        at_dBC = dBC + t0 * (8 * fixed.R)
        at_B = BC + t0 * (8 * fixed.R)

        slot = at_slot(states, sizes, place, j, sizes.chunks, c, fixed)
        h = as_states(tl.load(slot, place.slot_inside, 0.0), fixed)
        _store_states(
            h, scratch, at_u, at_delta, at_B, A, bias, count, place, by, fixed
        )
        tl.debug_barrier()

        for i in range(0, count, 4):
            t = (count - 1) // 4 * 4 - i
            h = as_states(tl.load(scratch + t // 4 * SIZE + tl.arange(0, SIZE)), fixed)
            valid = (t + place.token < count) & place.inside
            at = at_u + offsets(place, t, fixed.U_STEP, by)
            u1 = tl.load(at, valid, 0.0).to(tl.float32)
            x = at_delta + offsets(place, t, fixed.DELTA_STEP, by)
            x = tl.load(x, valid, NO_STEP)
            at = offsets(place, t, fixed.STEP, by)
            dread = tl.load(shared.dy + at_own + at, valid, 0.0).to(tl.float32)
            if shared.z is not None:
                gate = at_z + offsets(place, t, fixed.Z_STEP, by)
                gate = tl.load(gate, valid, 0.0).to(tl.float32)
                if DZ:
                    ungated = tl.load(shared.ungated + at_own + at, valid, 0.0)
            dt, slope = token_step(x, bias, valid, fixed.SOFTPLUS)
            pairs = spread(as_tokens(dt, fixed), as_tokens(dt * u1, fixed))
            at_four = at_B + by * t * (8 * fixed.R)
            decays, left = (), ()  # what is left of the states before each token
            for m in tl.static_range(4):
                B = tl.load(at_four + by * m * (8 * fixed.R) + place.state)
                a = tl.exp2(pairs[m][0] * A)
                p = a * h
                h = p + pairs[m][1] * B
                decays += (a,)
                left += (p,)

            if shared.z is not None:
                s = sigmoid(gate)
                if DZ:
                    dz = dread * ungated.to(tl.float32) * (s + gate * s * (1 - s))
                    tl.store(shared.dz + at_own + at, dz, valid)
                dread *= gate * s
            dD += dread * u1
            du = dread * D
            dreads = spread_one(as_tokens(dread, fixed))
            ddtu, ddtA, dB, dC = (), (), (), ()
            for m in tl.static_range(3, -1, -1):
                B = tl.load(at_four + by * m * (8 * fixed.R) + place.state)
                C = tl.load(at_four + (by * m * 8 + 4) * fixed.R + place.state)
                dt4, dtu4 = pairs[m]
                # g: gradient of the states from later tokens, then from here on
                dp = g + dreads[m] * C
                dnew = g if MASKED else dp
                ddtu += (dot(dnew, B),)
                dB += (tl.sum(dnew * dtu4, 1),)
                read = left[m] if MASKED else left[m] + dtu4 * B
                dC += (tl.sum(dreads[m] * read, 1),)
                q = dp * left[m]  # gradient of dt * A
                dA += q * dt4
                ddtA += (dot(q, A),)
                g = dp * decays[m]
            of_dtu, of_dtA = over_states_both(_turned(ddtu), _turned(ddtA))
            of_dtu, of_dtA = flat_tokens(of_dtu), flat_tokens(of_dtA)
            ddelta = (of_dtA * LN_2 + of_dtu * u1) * slope
            dbias += tl.where(valid, ddelta, 0.0)
            tl.store(gradients.du + at_own + at, du + of_dtu * dt, valid)
            tl.store(gradients.ddelta + at_own + at, ddelta, valid)
            k = tl.arange(0, 32 * fixed.R)  # token, B or C, state
            k4 = k // (8 * fixed.R)
            at4 = at_dBC + by * t * (8 * fixed.R)
            at4 += by * k4 * (8 * fixed.R) + k % (8 * fixed.R)
            tl.store(at4, over_channels(_turned(dB), _turned(dC)), t + k4 < count)
    if fixed.RESIDUAL:  # all states started as u of the first token
        of_u = tl.sum(g, 0)
        none = tl.zeros_like(of_u)
        of_u = flat_tokens(over_states((of_u, none, none, none)))
        begins = segment == (sizes.segments - 1 if REVERSE else 0)
        valid = only(begins, place.inside & (place.token == 0))
        at = gradients.du + (
            own + tl.cast(begin, tl.int64) * fixed.STEP + place.channel
        )
        tl.debug_barrier()
        tl.store(at, tl.load(at, valid, 0.0).to(tl.float32) + of_u, valid)
    slot = at_slot(sums.dA, sizes, place, j, sizes.segments, segment, fixed)
    tl.store(slot, flat_states(dA), place.slot_inside)
    store_channels(sums.dD, sizes, place, j, segment, dD, fixed)
    store_channels(sums.dbias, sizes, place, j, segment, dbias, fixed)


@triton.jit
def _store_states(h, scratch, at_u, at_delta, at_B, A, bias, count, place, by, fixed):
    """Walk through a chunk and store the states before every fourth token."""
    SIZE: tl.constexpr = 32 * fixed.R * fixed.Q * fixed.W
    own = tl.arange(0, SIZE)
    tl.store(scratch + own, flat_states(h))
    valid = (place.token < count) & place.inside
    u = tl.load(at_u + offsets(place, 0, fixed.U_STEP, by), valid, 0.0)
    x = tl.load(at_delta + offsets(place, 0, fixed.DELTA_STEP, by), valid, 0.0)
    for t in range(4, count, 4):
        # the next four are on their way while these are used
        valid = (t + place.token < count) & place.inside
        next_u = tl.load(at_u + offsets(place, t, fixed.U_STEP, by), valid, 0.0)
        next_x = at_delta + offsets(place, t, fixed.DELTA_STEP, by)
        next_x = tl.load(next_x, valid, 0.0)
        dt, _ = step_size(x.to(tl.float32) + bias, fixed.SOFTPLUS)
        dtu = dt * u.to(tl.float32)
        pairs = spread(as_tokens(dt, fixed), as_tokens(dtu, fixed))
        for m in tl.static_range(4):
            B = tl.load(at_B + by * (t - 4 + m) * (8 * fixed.R) + place.state)
            h = tl.exp2(pairs[m][0] * A) * h + pairs[m][1] * B
        tl.store(scratch + t // 4 * SIZE + own, flat_states(h))
        u, x = next_u, next_x


@triton.jit
def _turned(x):
    """What the walk back leaves of four tokens, in the order of the scan."""
    return x[3], x[2], x[1], x[0]
