"""The depth-wise causal convolution with SiLU as Triton kernels.

Forward, a program works on a tile [TOKENS, CHANNELS]; backward, it walks through a
chunk of tokens. Arguments in capitals are compile-time constants.
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
    dy,  # (B, L, D), like dx
    dx,
    sums,  # of dweight's taps and dbias: (B, chunks, TAPS + 1, D)
    channels,
    length,
    X_STEP: tl.constexpr,  # from a token to the next
    STEP: tl.constexpr,  # the same, of dy and dx
    TAPS: tl.constexpr,
    SILU: tl.constexpr,
    REVERSE: tl.constexpr,
    CHUNK: tl.constexpr,  # tokens, a multiple of 4
):
    """Every gradient, in one walk against the order of the scan.

    ``ds``, the gradient of what goes into SiLU, stays in registers for as many tokens
    as there are taps, and so does x. Grid: (chunks, tiles of channels, B).
    """
    d = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    batch = tl.program_id(2).to(tl.int64)
    start = tl.program_id(0) * CHUNK  # in scan order
    x = x.data + batch * x.batch
    dy += batch * length * STEP
    dx += batch * length * STEP
    none = tl.zeros([CHANNELS], tl.float32)
    b = none
    if bias is not None:
        b += tl.load(bias + d, d < channels, 0.0).to(tl.float32)
    taps, totals = (), (none,)  # the last one meets the current token
    for k in tl.static_range(TAPS):
        taps += (tl.load(weight + d * TAPS + k, d < channels, 0.0).to(tl.float32),)
        totals += (none,)

    # before the walk: the tokens after the chunk whose ds this one's dx needs
    t = start + CHUNK + TAPS - 2
    earlier, later = (), ()
    for k in tl.static_range(TAPS - 1):
        earlier += (_token(x, t - k, d, channels, length, X_STEP, REVERSE),)
    for k in tl.static_range(TAPS - 1):
        earlier += (_token(x, t - k - TAPS + 1, d, channels, length, X_STEP, REVERSE),)
        ds = _token(dy, t - k, d, channels, length, STEP, REVERSE)
        later += (_before_silu(ds, earlier, taps, b, TAPS, SILU),)
        earlier = earlier[1:]

    for i in range(0, CHUNK, 4):
        t = start + CHUNK - 1 - i
        xs, dys = (), ()  # their loads wait for memory together
        for k in tl.static_range(4):
            at = t - k - TAPS + 1
            xs += (_token(x, at, d, channels, length, X_STEP, REVERSE),)
            dys += (_token(dy, t - k, d, channels, length, STEP, REVERSE),)
        for k in tl.static_range(4):
            earlier += (xs[k],)
            ds = _before_silu(dys[k], earlier, taps, b, TAPS, SILU)
            later += (ds,)
            value, added = none, ()
            for j in tl.static_range(TAPS):
                value += taps[j] * later[j]
                added += (totals[j] + ds * earlier[TAPS - 1 - j],)
            added += (totals[TAPS] + ds,)
            totals = added
            at = tl.cast(length - 1 - (t - k) if REVERSE else t - k, tl.int64)
            inside = (d < channels) & (t - k + d * 0 < length)
            tl.store(dx + at * STEP + d, value, inside)
            earlier, later = earlier[1:], later[1:]

    chunk = batch * tl.num_programs(0) + tl.program_id(0)
    for j in tl.static_range(TAPS + 1):
        at = sums + (chunk * (TAPS + 1) + j) * channels + d
        tl.store(at, totals[j], d < channels)


@triton.jit
def _token(x, t, d, channels, length, STEP, REVERSE):
    """The t-th token in scan order, 0 where there is none."""
    at = tl.cast(length - 1 - t if REVERSE else t, tl.int64)
    inside = (d < channels) & (t + d * 0 >= 0) & (t + d * 0 < length)
    return tl.load(x + at * STEP + d, inside, 0.0).to(tl.float32)


@triton.jit
def _before_silu(dy, earlier, taps, b, TAPS, SILU):
    """The gradient of what goes into SiLU; ``earlier`` begins with the current x."""
    if SILU:
        y = b
        for k in tl.static_range(TAPS):
            y += taps[TAPS - 1 - k] * earlier[k]
        s = sigmoid(y)
        dy *= s + y * s * (1 - s)
    return dy


@triton.jit
def _place():
    """The program's clip, tokens [TOKENS, 1] and channels [1, CHANNELS]."""
    t = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)[:, None]
    d = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    return tl.program_id(2).to(tl.int64), t.to(tl.int64), d


@triton.jit
def _convolve(x, weight, bias, batch, t, d, channels, length, TAPS, REVERSE):
    value = tl.zeros([TOKENS, CHANNELS], tl.float32)
    if bias is not None:
        value += tl.load(bias + d, d < channels, 0.0).to(tl.float32)
    for tap in tl.static_range(TAPS):
        w = tl.load(weight + d * TAPS + tap, d < channels, 0.0).to(tl.float32)
        back = TAPS - 1 - tap  # the last tap meets the current token
        earlier = t + back if REVERSE else t - back
        inside = (earlier >= 0) & (earlier < length) & (d < channels)
        at = x.data + batch * x.batch + earlier * x.token + d
        value += w * tl.load(at, inside, 0.0).to(tl.float32)
    return value
