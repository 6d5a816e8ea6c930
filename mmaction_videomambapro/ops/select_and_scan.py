"""A mixer's selection and scan in one step of autograd, which keeps half as much.

Step by step, autograd keeps the convolution's output and the step sizes. In one step,
the backward pass computes them again, as that of mamba-ssm's fused function does: from
the tokens, and from B, C and the step sizes before their projection, which are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .backends import Kernels, choose_backend
from .causal_conv1d import check_conv1d
from .operators.scan import ScanFlags, ScanInputs, join
from .selective_scan import check_scan


class Selection(NamedTuple):
    """Weights that make u, delta, B and C of tokens; the first two as (D, K), (D,)."""

    conv1d: Tensor
    conv1d_bias: Tensor | None
    x_proj: Tensor
    dt_proj: Tensor


class Dynamics(NamedTuple):
    """Weights of one direction of the scan; see :func:`selective_scan`."""

    A: Tensor
    D: Tensor
    delta_bias: Tensor


class Plan(NamedTuple):
    """What to do with them.

    Attributes:
        conv1d_reverse (Sequence[bool]): Whether a selection's convolution goes from the
            last token to the first. There is one selection, or one per direction.
        scans_conv (bool): Whether the convolution's output is scanned, or its input.
        flags (ScanFlags): How to scan.
    """

    conv1d_reverse: Sequence[bool]
    scans_conv: bool
    flags: ScanFlags


def kernels_to_recompute(x: Tensor, states: int) -> Kernels | None:
    """What :func:`select_and_scan` runs on, or None where it has nothing to offer.

    That is where no gradients are taken, where a graph is captured, whose compiler
    decides what to keep, and for a backend without kernels of this package.
    """
    if (
        not torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
    ):
        return None
    return choose_backend(x, states).kernels


def select_and_scan(
    kernels: Kernels,
    plan: Plan,
    x: Tensor,
    z: Tensor,
    selections: Sequence[Selection],
    dynamics: Sequence[Dynamics],
) -> Tensor:
    """Convolve with SiLU, select, scan and gate tokens.

    Args:
        kernels (Kernels): From :func:`kernels_to_recompute`.
        plan (Plan): How to.
        x (Tensor): Tokens, (B, D, L).
        z (Tensor): Their gate, (B, D, L).
        selections (Sequence[Selection]): One per direction, or one for both.
        dynamics (Sequence[Dynamics]): One per direction.

    Returns:
        Tensor: (B, D, L), of x's type.
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind) and x.dtype != torch.float64:
        low = torch.get_autocast_dtype(kind)
        selections = [
            s._replace(x_proj=s.x_proj.to(low), dt_proj=s.dt_proj.to(low))
            for s in selections
        ]
    weights = (w for group in (*selections, *dynamics) for w in group)
    return _SelectAndScan.apply(kernels, plan, x, z, *weights)


class _SelectAndScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels, plan, x, z, *weights):
        selections, dynamics = _split(plan, weights)
        for w in selections:
            check_conv1d(x, w.conv1d, w.conv1d_bias)
        convs = _convolve(kernels, plan, x, selections)
        projected = [
            F.linear(_rows(conv).to(w.x_proj.dtype), w.x_proj)
            for conv, w in zip(convs, selections)
        ]
        inputs = _scan_inputs(plan, x, convs, projected, selections, dynamics)
        for u, delta, A, B, C, D, delta_bias in inputs:
            check_scan(u, delta, A, B, C, D, z, delta_bias)
        keep = any(ctx.needs_input_grad)
        y, *kept = kernels.scan.scan(*join(z, inputs), *plan.flags, keep)
        ctx.save_for_backward(x, z, *weights, *projected, *kept)
        ctx.kernels, ctx.plan = kernels, plan
        return y

    @staticmethod
    def backward(ctx, dy):
        kind = dy.device.type
        if not torch.is_autocast_enabled(kind):
            return _gradients(ctx, dy)
        # what is computed again is of the types that it was of
        with torch.autocast(kind, enabled=False):
            return _gradients(ctx, dy)


def _gradients(ctx, dy):
    kernels, plan, count = ctx.kernels, ctx.plan, len(ctx.plan.conv1d_reverse)
    x, z, *weights, ungated, states = ctx.saved_tensors
    weights, projected = weights[:-count], weights[-count:]
    selections, dynamics = _split(plan, weights)
    convs = _convolve(kernels, plan, x, selections)
    inputs = _scan_inputs(plan, x, convs, projected, selections, dynamics)
    dz, *found = kernels.scan.backward(
        dy, *join(z, inputs), ungated, states, *plan.flags
    )
    del inputs
    scans = _groups(ScanInputs, found)
    dx = None if plan.scans_conv else _sum(scans, 'u')
    needed, _ = _split(plan, ctx.needs_input_grad[4:])
    gradients = []
    # from the last, as autograd adds: to the last bit it is the same
    for k in reversed(range(count)):
        own, w = (scans if count == 1 else scans[k : k + 1]), selections[k]
        dconv, *products = _through_products(own, w, convs[k], projected[k], needed[k])
        if plan.scans_conv:
            dconv += _sum(own, 'u')
        dx_k, dweight, dbias = kernels.conv1d.backward(
            dconv, x, w.conv1d, w.conv1d_bias, True, plan.conv1d_reverse[k]
        )
        dx = dx_k if dx is None else dx + dx_k
        dbias = None if w.conv1d_bias is None else dbias
        gradients = [dweight, dbias, *products, *gradients]
    for scan in scans:
        gradients += Dynamics(scan.A, scan.D, scan.delta_bias)
    return None, None, dx, dz, *gradients


def _split(plan, weights):
    """Selections and dynamics."""
    end = len(plan.conv1d_reverse) * len(Selection._fields)
    return _groups(Selection, weights[:end]), _groups(Dynamics, weights[end:])


def _groups(kind, values):
    size = len(kind._fields)
    return [kind(*values[i : i + size]) for i in range(0, len(values), size)]


def _convolve(kernels, plan, x, selections):
    return [
        kernels.conv1d.conv1d(x, w.conv1d, w.conv1d_bias, True, reverse)
        for w, reverse in zip(selections, plan.conv1d_reverse)
    ]


def _scan_inputs(plan, x, convs, projected, selections, dynamics):
    """Of each direction; both may have the same selection."""
    batch, channels, length = x.shape
    selected = []
    for conv, numbers, w in zip(convs, projected, selections):
        rank, states = w.dt_proj.shape[1], dynamics[0].A.shape[1]
        delta = F.linear(numbers[:, :rank], w.dt_proj).view(batch, length, channels)
        numbers = numbers.view(batch, length, -1)
        _, B, C = numbers.split([rank, states, states], 2)
        selected.append((conv if plan.scans_conv else x, delta.mT, B.mT, C.mT))
    return [
        ScanInputs(u, delta, A, B, C, D, delta_bias)
        for (u, delta, B, C), (A, D, delta_bias) in zip(
            selected * len(dynamics), dynamics
        )
    ]


def _through_products(scans, weights, conv, projected, needed):
    """Gradients of the convolution's output, and of the weights that are needed."""
    ddelta, dB, dC = (_rows(_sum(scans, name)) for name in ('delta', 'B', 'C'))
    dprojected = torch.cat([ddelta @ weights.dt_proj, dB, dC], 1)
    dx_proj = ddt_proj = None
    if needed.x_proj:
        dx_proj = dprojected.t() @ _rows(conv).to(dprojected.dtype)
    if needed.dt_proj:
        ddt_proj = ddelta.t() @ projected[:, : weights.dt_proj.shape[1]]
    dconv = (dprojected @ weights.x_proj).to(conv.dtype)
    return dconv.view_as(conv.mT).mT, dx_proj, ddt_proj


def _rows(x):
    """(B, D, L) as (B * L, D)"""
    return x.mT.flatten(0, 1)


def _sum(scans, name):
    return reduce(torch.add, (getattr(scan, name) for scan in scans))
