"""B and C as the scan's kernels read them, and back.

Lanes load four states at a time, in float32 and without a mask: B and C of a token lie
side by side, filled up with zeros to 4 * R states, between tokens of zeros. A masked
scan's first token reads nothing: its C is 0 as well.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .tiles import MARGIN

BLOCK = tl.constexpr(1024)


@triton.jit
def interleave(
    states,  # B and C of each direction
    BC,  # (directions, rows, L + 2 * MARGIN, 2, 4 * R)
    groups,
    length,
    fixed: tl.constexpr,
):
    """Grid: (rows, blocks of a row, directions)."""
    COUNT: tl.constexpr = fixed.COUNT
    PADDED: tl.constexpr = 4 * fixed.R
    size = (length + 2 * MARGIN) * (2 * PADDED)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    t, n = i // (2 * PADDED) - MARGIN, i % PADDED
    row = tl.program_id(0)
    batch, group = (row // groups).to(tl.int64), row % groups
    real = (t >= 0) & (t < length) & (n < fixed.N)
    for j in tl.static_range(COUNT):
        if tl.program_id(2) == j:
            at = (j * tl.num_programs(0) + row).to(tl.int64) * size
            for k in tl.static_range(2):
                x = states[2 * j + k]
                of_row = x.data + batch * x.batch + group * x.group
                at_x = of_row + t.to(tl.int64) * x.token + n * x.state
                read = real & ~_reads_nothing(t, length, j, k, fixed)
                value = tl.load(at_x, read, 0.0)
                mine = (i < size) & (i // PADDED % 2 == k)
                tl.store(BC + at + i, value.to(tl.float32), mine)


@triton.jit
def separate(
    dBC,  # (tiles, directions, rows, L, 2, 4 * R)
    gradients,  # dB and dC of each direction, (rows, L, N)
    tiles,
    tokens,  # rows * L
    length,
    fixed: tl.constexpr,
):
    """Add up tiles of channels. Grid: (blocks of tokens * N, dB and dC, directions)."""
    COUNT: tl.constexpr = fixed.COUNT
    PADDED: tl.constexpr = 4 * fixed.R
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    token, n = i // fixed.N, i % fixed.N
    inside = token < tokens
    at = tl.program_id(2).to(tl.int64) * tokens + token
    at = (at * 2 + tl.program_id(1)) * PADDED + n
    tile_step = tl.cast(tokens, tl.int64) * (COUNT * 2 * PADDED)
    value = tl.zeros([BLOCK], tl.float32)
    for tile in range(tiles):
        value += tl.load(dBC + tile * tile_step + at, inside, 0.0)
    for k in tl.static_range(2 * COUNT):
        if tl.program_id(2) * 2 + tl.program_id(1) == k:
            t = token.to(tl.int32) % length
            nothing = _reads_nothing(t, length, k // 2, k % 2, fixed)
            tl.store(gradients[k] + i, tl.where(nothing, 0.0, value), inside)


@triton.jit
def _reads_nothing(t, length, j, k, fixed: tl.constexpr):
    """Whether it is C (k = 1) of direction j's first token, and that is masked."""
    first = length - 1 if fixed.REVERSE[j] else 0
    return (t == first) & (k == 1 and fixed.MASKED[j])
