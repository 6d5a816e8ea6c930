"""What the kernels compute for single numbers."""

from __future__ import annotations

import triton
import triton.language as tl

from ..polynomials import log1p_coefficients

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
C8, C7, C6, C5, C4, C3, C2, C1, C0 = map(tl.constexpr, log1p_coefficients(8))
NO_STEP = tl.constexpr(float('-inf'))  # loaded where there is no token


@triton.jit
def token_step(delta, bias, valid, SOFTPLUS: tl.constexpr):
    """:func:`step_size`, but 0 where there is no token, as softplus of -inf is."""
    dt, slope = step_size(delta.to(tl.float32) + bias, SOFTPLUS)
    return dt if SOFTPLUS else tl.where(valid, dt, 0.0), slope


@triton.jit
def step_size(x, SOFTPLUS: tl.constexpr):
    """A token's step size, and its derivative."""
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
        slope = tl.exp2((tl.minimum(x, 0.0) - e * y) * LOG2_E)  # exp(x - dt)
    else:
        dt, slope = x, x * 0 + 1
    return dt, slope


@triton.jit
def sigmoid(x):
    """Squared, as GPUs have an instruction for 1 / sqrt, but take five to divide."""
    root = tl.rsqrt(1 + tl.exp2(-x * LOG2_E))
    return root * root
