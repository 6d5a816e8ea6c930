"""Scan and convolution by their definitions: the oracles for every backend.

The convolution is PyTorch's, and serves where a backend has none of its own.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F


def selective_scan_naive(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
    residual=False, masked=False, reverse=False,
) -> Tensor:  # fmt: skip
    """Walk the tokens one by one, as the equations are written.

    Differentiable any number of times in every tensor argument. It keeps every
    state, so memory grows with B * D * L * N: meant for tests, not for training.
    Arguments, shapes and result are those of :func:`selective_scan`.
    """
    state_dtype = torch.promote_types(u.dtype, torch.float32)
    u_, delta, A, B, C = (x.to(state_dtype) for x in (u, delta, A, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias.to(state_dtype)[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    B, C = (_one_per_channel(x, u.shape[1]) for x in (B, C))

    # unbind once: indexing x[:, :, i] in the loop makes the backward pass
    # quadratic in L, because each index allocates a gradient of the whole x.
    a = torch.exp(delta[..., None] * A[:, None]).unbind(2)  # L x (B, D, N)
    b = ((delta * u_)[..., None] * B).unbind(2)  # L x (B, D, N)
    c = C.unbind(2)  # L x (B, D, N)

    order = range(u.shape[2])
    order = order[::-1] if reverse else order
    first = order[0]
    h = u_[:, :, first, None].expand_as(b[0]) if residual else torch.zeros_like(b[0])
    outputs: list[Tensor] = []
    for i in order:
        carried = a[i] * h
        h = carried + b[i]
        read = carried if masked else h
        if masked and i == first:
            read = torch.zeros_like(h)
        outputs.append((c[i] * read).sum(-1))
    y = torch.stack(outputs[::-1] if reverse else outputs, dim=-1)  # (B, D, L)

    if D is not None:
        y = y + D.to(state_dtype)[:, None] * u_
    if z is not None:
        y = y * F.silu(z.to(state_dtype))
    return y.to(u.dtype)


def _one_per_channel(x: Tensor, channels: int) -> Tensor:
    """(B, N, L) or (B, G, N, L), shared by channels -> (B, D, L, N)."""
    if x.ndim == 3:
        x = x[:, None]
    return x.transpose(2, 3).repeat_interleave(channels // x.shape[1], dim=1)


def causal_conv1d_plain(x, weight, bias, activation, reverse) -> Tensor:
    """Arguments, shapes and result are those of ``ops.causal_conv1d``.

    Any mixture of types, as in a kernel: sums are float32, the result is of x's type.
    """
    dtype, taps = torch.promote_types(x.dtype, torch.float32), weight.shape[1]
    x_, weight = x.to(dtype), weight.to(dtype)
    bias = bias if bias is None else bias.to(dtype)
    if reverse:
        weight, padding = weight.flip(1), (0, taps - 1)
    else:
        padding = (taps - 1, 0)
    with _without_autocast(x.device.type):
        y = F.conv1d(F.pad(x_, padding), weight[:, None], bias, groups=len(weight))
    return (y if activation is None else F.silu(y)).to(x.dtype)


def _without_autocast(device_type):
    """A context; autocast does not know the meta device."""
    known = device_type != 'meta' and torch.is_autocast_enabled(device_type)
    return torch.autocast(device_type, enabled=False) if known else nullcontext()
