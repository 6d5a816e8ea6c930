"""The scan on the CUDA kernels of mamba-ssm and causal-conv1d, where they were built.

The scan's kernel knows neither direction, residual state nor mask. A reversed scan is
one of flipped tensors, a residual state a token in front, and the mask, which takes
away what a token adds to its own output, is algebra: all of it on copies, but with
nothing to compile.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from .naive import causal_conv1d_plain

MAX_STATES = 256  # as the kernel checks


def why_not(u: Tensor, states: int) -> str | None:
    """The reason why this backend cannot serve a call, or None."""
    if u.device.type != 'cuda':
        return f'it is for CUDA, and u is on {u.device.type}'
    if u.dtype == torch.float64:
        return 'it has no float64'
    if states > MAX_STATES:
        return f'it takes up to {MAX_STATES} states, not {states}'
    return _missing()


@lru_cache
def _missing():
    # Since July 2026 the package is installed without this kernel.
    try:
        import selective_scan_cuda  # noqa: F401
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn  # noqa: F401
    except ImportError as error:
        return (
            f'the CUDA scan of mamba-ssm cannot be imported ({error}); to build it: '
            'MAMBA_KEEP_CUDA_BUILD=TRUE pip install --no-build-isolation mamba-ssm'
        )
    return None


def selective_scan_mamba_ssm(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
    residual=False, masked=False, reverse=False,
) -> Tensor:  # fmt: skip
    """Arguments, shapes and result are those of ``ops.selective_scan``."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    dtype = u.dtype
    if any(x.dtype != dtype for x in (delta, B, C)):  # the kernel takes one type
        u, delta, B, C = (x.float() for x in (u, delta, B, C))
    if reverse:
        u, delta, B, C = (x.flip(-1) for x in (u, delta, B, C))
    A, D, delta_bias = (x if x is None else x.float() for x in (A, D, delta_bias))
    tokens = u, delta, B, C
    if residual:
        tokens = [
            torch.cat([x, y], -1)
            for x, y in zip(
                _token_that_sets_states(u, delta_bias, delta_softplus, B), tokens
            )
        ]
    y = selective_scan_fn(
        *tokens[:2], A, *tokens[2:], D, None, delta_bias, delta_softplus
    )
    y = y[..., int(residual) :]
    if masked:
        y = y - _own_contribution(u, delta, B, C, delta_bias, delta_softplus).to(y)
        first = torch.zeros_like(y[..., :1])
        if D is not None:
            first = (D[:, None] * u[..., :1]).to(y)
        y = torch.cat([first, y[..., 1:]], -1)
    if reverse:
        y = y.flip(-1)
    return (y if z is None else y * F.silu(z)).to(dtype)


def _token_that_sets_states(u, delta_bias, delta_softplus, B):
    """u, delta, B and C of a token whose step size is 1 and B is 1."""
    delta = torch.full_like(
        u[..., :1], math.log(math.expm1(1)) if delta_softplus else 1
    )
    if delta_bias is not None:
        delta = delta - delta_bias.to(delta)[:, None]
    ones = torch.ones_like(B[..., :1]).to(u)
    return u[..., :1], delta, ones, ones


def _own_contribution(u, delta, B, C, delta_bias, delta_softplus):
    """What each token adds to its own output: dt u <B, C>, (B, D, L)."""
    dt = delta.float()
    if delta_bias is not None:
        dt = dt + delta_bias[:, None]
    if delta_softplus:
        dt = F.softplus(dt)
    product = (B.float() * C.float()).sum(-2)
    if B.ndim == 4:
        product = product.repeat_interleave(u.shape[1] // B.shape[1], 1)
    else:
        product = product[:, None]
    return dt * u.float() * product


def causal_conv1d_mamba_ssm(x, weight, bias, activation, reverse) -> Tensor:
    """Arguments, shapes and result are those of ``ops.causal_conv1d``."""
    if not (2 <= weight.shape[1] <= 4 and _has_conv1d()):
        return causal_conv1d_plain(x, weight, bias, activation, reverse)
    from causal_conv1d import causal_conv1d_fn

    x = x.flip(-1) if reverse else x
    weight, bias = (w if w is None else w.to(x.dtype) for w in (weight, bias))
    y = causal_conv1d_fn(x, weight, bias, activation=activation)
    return y.flip(-1) if reverse else y


@lru_cache
def _has_conv1d():
    try:
        import causal_conv1d_cuda  # noqa: F401
    except ImportError:
        return False
    return True
