"""The depth-wise causal convolution with SiLU as Triton kernels.

A program works on a tile [TOKENS, CHANNELS]. Backward needs one kernel more: the
gradient of x is the same convolution in the other direction. Arguments in capitals
and ``back`` are compile-time constants.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .arithmetic import sigmoid

TOKENS = tl.constexpr(32)
CHANNELS = tl.constexpr(64)


class Tokens(NamedTuple):
    """(B, L, D) and its steps; that of D is 1."""

    data: Any
    batch: int
    token: int


@triton.jit
def conv1d_fwd(
    x,
    weight,  # (D, TAPS)
    bias,  # (D,) or None
    y,
    channels,
    length,
    TAPS: tl.constexpr,
    SILU: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Grid: (tiles of tokens, tiles of channels, B)."""
    batch, t, d = _place()
    value = _convolve(x, weight, bias, batch, t, d, channels, length, TAPS, REVERSE)
    if SILU:
        value *= sigmoid(value)
    inside = (t < length) & (d < channels)
    tl.store(y.data + batch * y.batch + t * y.token + d, value, inside)


@triton.jit
def conv1d_bwd(
    x,
    weight,
    bias,
    dy,
    ds,  # of what goes into SiLU
    dweight,  # (B, tiles of tokens, TAPS, D)
    dbias,  # (B, tiles of tokens, D)
    channels,
    length,
    TAPS: tl.constexpr,
    SILU: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Every gradient but that of x. Grid: as of ``conv1d_fwd``."""
    batch, t, d = _place()
    slope = _load(dy, batch, t, d, channels, length)
    if SILU:
        y = _convolve(x, weight, bias, batch, t, d, channels, length, TAPS, REVERSE)
        s = sigmoid(y)
        slope *= s + y * s * (1 - s)
    inside = (t < length) & (d < channels)
    tl.store(ds.data + batch * ds.batch + t * ds.token + d, slope, inside)

    tile = batch * tl.num_programs(0) + tl.program_id(0)
    for tap in tl.static_range(TAPS):
        earlier = _earlier(x, batch, t, d, channels, length, TAPS - 1 - tap, REVERSE)
        at = dweight + (tile * TAPS + tap) * channels + d
        tl.store(at, tl.sum(slope * earlier, 0, keep_dims=True), d < channels)
    at = dbias + tile * channels + d
    tl.store(at, tl.sum(slope, 0, keep_dims=True), d < channels)


@triton.jit
def _place():
    """The program's clip, tokens [TOKENS, 1] and channels [1, CHANNELS]."""
    t = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)[:, None]
    d = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    return tl.program_id(2).to(tl.int64), t.to(tl.int64), d


@triton.jit
def _load(x, batch, t, d, channels, length):
    inside = (t >= 0) & (t < length) & (d < channels)
    at = x.data + batch * x.batch + t * x.token + d
    return tl.load(at, inside, 0.0).to(tl.float32)


@triton.jit
def _earlier(x, batch, t, d, channels, length, back, REVERSE):
    """The tokens ``back`` places before in scan order, 0 in front of the first."""
    return _load(x, batch, t + back if REVERSE else t - back, d, channels, length)


@triton.jit
def _convolve(x, weight, bias, batch, t, d, channels, length, TAPS, REVERSE):
    value = tl.zeros([TOKENS, CHANNELS], tl.float32)
    if bias is not None:
        value += tl.load(bias + d, d < channels, 0.0).to(tl.float32)
    for tap in tl.static_range(TAPS):
        w = tl.load(weight + d * TAPS + tap, d < channels, 0.0).to(tl.float32)
        back = TAPS - 1 - tap  # the last tap meets the current token
        value += w * _earlier(x, batch, t, d, channels, length, back, REVERSE)
    return value
