"""How tiles lie in the lanes of a warp, and how numbers get from lane to lane.

A program has W warps side by side, each with 8 * Q channels. A warp holds the states of
its channels, 4 * R of each, or four tokens of them::

    channels         Q     Q           Q              Q     Q           Q
                  .-----.-----.   .-----.          .-----.-----.   .-----.
    R states      |  0  |  1  |...|  7  |   token  |  0  |  1  |...|  7  |
    R states      |  8  |  9  |...| 15  |   token  |  8  |  9  |...| 15  |
    R states      | 16  | 17  |...| 23  |   token  | 16  | 17  |...| 23  |
    R states      | 24  | 25  |...| 31  |   token  | 24  | 25  |...| 31  |
                  '-----'-----'   '-----'          '-----'-----'   '-----'

Either fills all 32 lanes, so that what belongs to a token of a channel, step size, gate
and so on, is computed once. Between the two, numbers go through shared memory, several
tiles at a time: ``spread`` hands those of a token to all four lanes of its channel,
``over_states`` and ``over_channels`` add up what lanes hold parts of. Each lane reads
all parts of one sum; summing with ``tl.sum`` would be five shuffles for every sum.

Tiles of tokens are [Q, W, token, lane], tiles of states [R, Q, W, row, lane], where a
row is one of the four groups of R states. Memory is addressed by flat tiles: their
layout, of 16 bytes side by side, is the one that all versions of Triton choose alike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .arithmetic import LOG2_E

MARGIN = tl.constexpr(16)  # tokens of zeros on both ends of BC, for the last turn


class Place(NamedTuple):
    """Where a program works. What is not a number is a flat tile, but ``state``."""

    row: Any  # of B * G
    tile: Any  # of a row
    batch: Any
    token: Any  # 0 to 3
    channel: Any
    inside: Any  # whether there is such a channel
    state: Any  # [R, 1, 1, 4, 1]
    slot: Any  # of states, in (4, channels of a group, R)
    weight: Any  # of states, in (D, N)
    slot_inside: Any
    weight_inside: Any


@triton.jit
def locate(sizes, fixed: tl.constexpr):
    """The place of the tile of channels that the grid's first axis counts."""
    R: tl.constexpr = fixed.R
    Q: tl.constexpr = fixed.Q
    W: tl.constexpr = fixed.W
    tiles = tl.cdiv(sizes.channels, 8 * Q * W)
    row, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    group = row % sizes.groups * sizes.channels  # its first channel

    i = tl.arange(0, 32 * Q * W)
    within = tile * (8 * Q * W) + i // (32 * Q) * (8 * Q) + i % (8 * Q)
    state = tl.arange(0, R)[:, None, None, None, None]

    j = tl.arange(0, 32 * Q * W * R)
    lane = j // (32 * R) % W * (8 * Q) + j // R % 8 * Q + j // (32 * W * R)
    own = tile * (8 * Q * W) + lane
    own_row = j // (8 * R) % 4
    own_state = own_row * R + j % R
    own_inside = _exists(own, sizes, fixed)
    return Place(
        row,
        tile,
        (row // sizes.groups).to(tl.int64),
        i // (8 * Q) % 4,
        group + within,
        _exists(within, sizes, fixed),
        state + R * tl.arange(0, 4)[None, None, None, :, None],
        (own_row * sizes.channels + own) * R + j % R,
        (group + own) * fixed.N + own_state,
        own_inside,
        own_inside & (own_state < fixed.N),
    )


@triton.jit
def _exists(channel, sizes, fixed: tl.constexpr):
    return channel >= 0 if fixed.EVEN else channel < sizes.channels


@triton.jit
def only(holds, mask):
    """The mask, if a number holds. (In Triton's interpreter & is wrong for these.)"""
    return tl.where(holds, mask, False)


# What lies there


@triton.jit
def decay(d, place, fixed: tl.constexpr):
    """A, for powers of 2."""
    x = tl.load(d.A + place.weight, place.weight_inside, 0.0).to(tl.float32) * LOG2_E
    return as_states(x, fixed)


@triton.jit
def weight(x, place):
    """One number per channel, 0 without an array."""
    if x is None:
        return tl.zeros(place.channel.shape, tl.float32)
    else:
        return tl.load(x + place.channel, place.inside, 0.0).to(tl.float32)


@triton.jit
def of_clip(x, place):
    return x.data + place.batch * x.batch


@triton.jit
def offsets(place, t, STEP: tl.constexpr, by: tl.constexpr):
    """From token 0 to the tokens t, t + by, t + 2 * by and t + 3 * by.

    Pointers to add them to are the same for all lanes: then a lane adds 32 bits alone.
    """
    return by * t * STEP + (by * STEP * place.token + place.channel)


@triton.jit
def load_turn(
    x, place, i, count, STEP: tl.constexpr, by: tl.constexpr, fixed, missing=0.0
):  # fmt: skip
    """A turn's tokens from i on, four at a time, of which ``count`` exist."""
    FOURS: tl.constexpr = fixed.FOURS
    found = ()
    for k in tl.static_range(FOURS):
        t = i + 4 * k
        valid = (t + place.token < count) & place.inside
        found += (tl.load(x + offsets(place, t, STEP, by), valid, missing),)
    return found


@triton.jit
def at_slot(states, sizes, place, j, count, slot, fixed: tl.constexpr):
    """Pointers to one of a row's ``count`` slots for states."""
    at = ((j * sizes.rows + place.row) * count + slot).to(tl.int64)
    return states + at * (4 * fixed.R * sizes.channels) + place.slot


@triton.jit
def at_BC(BC, sizes, place, j, fixed: tl.constexpr):
    """Pointer to B of a row's token 0; C is 4 * R further, the next token 8 * R."""
    row = (j * sizes.rows + place.row).to(tl.int64)
    token = row * (sizes.length + 2 * MARGIN) + MARGIN
    return BC + token * (8 * fixed.R)


@triton.jit
def store_channels(x, sizes, place, j, segment, value, fixed: tl.constexpr):
    """The sum over four tokens, into (directions, rows, segments, channels)."""
    width: tl.constexpr = 8 * fixed.Q * fixed.W
    value = tl.permute(tl.sum(as_tokens(value, fixed), 2), (1, 2, 0))
    channel = place.tile * width + tl.arange(0, width)
    at = ((j * sizes.rows + place.row) * sizes.segments + segment).to(tl.int64)
    inside = _exists(channel, sizes, fixed)
    tl.store(x + at * sizes.channels + channel, tl.reshape(value, (width,)), inside)


# From flat tiles and back


@triton.jit
def as_tokens(x, fixed: tl.constexpr):
    x = tl.reshape(x, (fixed.W, 4, 8, fixed.Q))
    return tl.permute(x, (3, 0, 1, 2))


@triton.jit
def flat_tokens(x):
    size: tl.constexpr = x.shape[0] * x.shape[1] * 32
    return tl.reshape(tl.permute(x, (1, 2, 3, 0)), (size,))


@triton.jit
def as_states(x, fixed: tl.constexpr):
    x = tl.reshape(x, (fixed.Q, fixed.W, 4, 8, fixed.R))
    return tl.permute(x, (4, 0, 1, 2, 3))


@triton.jit
def flat_states(x):
    size: tl.constexpr = x.shape[0] * x.shape[1] * x.shape[2] * 32
    return tl.reshape(tl.permute(x, (1, 2, 3, 4, 0)), (size,))


# From lane to lane


@triton.jit
def spread(x, y):
    """Flat tiles of four tokens: of each token, both numbers in all rows of states.

    Returns, for each token, two of [1, Q, W, 1, lane]. They go together: of a single
    tile, Triton 3.6 would compute all that leads to it in four lanes.
    """
    Q: tl.constexpr = x.shape[0]
    W: tl.constexpr = x.shape[1]
    x = tl.permute(tl.join(x, y), (0, 1, 3, 4, 2))
    a, b = tl.split(tl.reshape(x, (Q, W, 8, 2, 2, 2)))
    a0, a1 = tl.split(a)
    b0, b1 = tl.split(b)
    return _pair(a0), _pair(b0), _pair(a1), _pair(b1)


@triton.jit
def _pair(x):
    a, b = tl.split(x)
    return _for_states(a), _for_states(b)


@triton.jit
def spread_one(x):
    """The same of one number: for each token, [1, Q, W, 1, lane]."""
    Q: tl.constexpr = x.shape[0]
    W: tl.constexpr = x.shape[1]
    a, b = tl.split(tl.reshape(tl.permute(x, (0, 1, 3, 2)), (Q, W, 8, 2, 2)))
    a0, a1 = tl.split(a)
    b0, b1 = tl.split(b)
    return _for_states(a0), _for_states(b0), _for_states(a1), _for_states(b1)


@triton.jit
def _for_states(x):
    return x[None, :, :, None, :]


@triton.jit
def dot(x, y):
    """The sum of products over a lane's states; ``tl.sum`` fuses only half of them.

    Takes [R, Q, W, row, lane], of which Q, W and lane may be 1.
    """
    R: tl.constexpr = x.shape[0]
    xs, ys = (x,), (y,)
    for n in tl.static_range(R):
        if 2**n < R:
            xs, ys = _halves(xs), _halves(ys)
    value = xs[0] * ys[0]
    for n in tl.static_range(1, R):
        value += xs[n] * ys[n]
    return tl.reshape(value, value.shape[1:])


@triton.jit
def _halves(tiles):
    found = ()
    for n in tl.static_range(len(tiles)):
        x = tiles[n]
        x = tl.reshape(x, (x.shape[0] // 2, 2, x.shape[1], x.shape[2], 4, x.shape[4]))
        found += tl.split(tl.permute(x, (0, 2, 3, 4, 5, 1)))
    return found


@triton.jit
def over_states(x):
    """[Q, W, row, lane] of four tokens each, summed over rows to a tile of tokens."""
    Q: tl.constexpr = x[0].shape[0]
    W: tl.constexpr = x[0].shape[1]
    x = tl.permute(_four(x), (0, 1, 4, 5, 3, 2))
    a, b = tl.split(tl.reshape(x, (Q, W, 4, 8, 2, 2)))
    a, b = tl.split(a + b)
    return a + b


@triton.jit
def over_states_both(x, y):
    """The same of two numbers."""
    Q: tl.constexpr = x[0].shape[0]
    W: tl.constexpr = x[0].shape[1]
    x = tl.permute(tl.join(_four(x), _four(y)), (0, 1, 4, 5, 3, 6, 2))
    a, b = tl.split(tl.reshape(x, (Q, W, 4, 8, 2, 2, 2)))
    a, b = tl.split(a + b)
    return tl.split(a + b)


@triton.jit
def over_channels(x, y):
    """[R, W, row, lane] of four tokens, twice, summed over W and lanes.

    Returns [token, 2, row, R], flat.
    """
    R: tl.constexpr = x[0].shape[0]
    W: tl.constexpr = x[0].shape[1]
    x = tl.join(_four(x), _four(y))  # [R, W, row, lane, token, token, 2]
    x = tl.permute(x, (4, 5, 6, 2, 0, 1, 3))
    tl.static_assert(W == 1 or W == 2 or W == 4)
    if W == 4:
        x = tl.reshape(x, (4, 2, 4, R, 2, 2, 2, 2, 2))
        x = _add_halves(_add_halves(x))
    elif W == 2:
        x = _add_halves(tl.reshape(x, (4, 2, 4, R, 2, 2, 2, 2)))
    else:
        x = tl.reshape(x, (4, 2, 4, R, 2, 2, 2))
    return tl.reshape(_add_halves(_add_halves(_add_halves(x))), (32 * R,))


@triton.jit
def _add_halves(x):
    a, b = tl.split(x)
    return a + b


@triton.jit
def _four(x):
    """[...] of each of four tokens -> [..., 2, 2]"""
    return tl.join(tl.join(x[0], x[2]), tl.join(x[1], x[3]))
