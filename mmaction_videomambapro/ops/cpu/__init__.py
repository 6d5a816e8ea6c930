"""The scan for CPUs: kernels that LLVM compiles for the machine at hand.

``jit`` builds and compiles kernels, ``functions`` and ``tiles`` are what they are made
of, ``scan`` and ``conv1d`` the kernels themselves. ``scan_ops`` and ``conv1d_ops``
make PyTorch operators of them, ``call`` prepares a call and ``threads`` runs it.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor

try:
    from . import conv1d_ops, scan_ops
except ImportError as error:
    if not (error.name or '').startswith('llvmlite'):
        raise
    conv1d_ops = scan_ops = None

MAX_STATES = 64  # a task's sums over them have to fit its thread's stack


def why_not(u: Tensor, states: int) -> str | None:
    """The reason why this backend can not serve a call, or None."""
    if u.device.type != 'cpu':
        return f'it is for CPUs, and u is on {u.device.type}'
    if scan_ops is None:
        return 'llvmlite is not installed, `pip install llvmlite` makes the scan faster'
    if states > MAX_STATES:
        return f'it takes up to {MAX_STATES} states, not {states}'
    return None


def selective_scan_llvm(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
    residual=False, masked=False, reverse=False,
) -> Tensor:  # fmt: skip
    """Arguments, shapes and result are those of ``ops.selective_scan``."""
    inputs = u, delta, A, B, C, D, delta_bias
    return _scan([inputs], z, delta_softplus, residual, [masked], [reverse])


def bidirectional_scan_llvm(
    forward, backward, z, delta_softplus, residual, masked
) -> Tensor:
    """Arguments, shapes and result are those of ``ops.bidirectional_scan``."""
    return _scan(
        [forward, backward], z, delta_softplus, residual, [False, masked], [False, True]
    )


def causal_conv1d_llvm(x, weight, bias, activation, reverse) -> Tensor:
    """Arguments, shapes and result are those of ``ops.causal_conv1d``."""
    return conv1d_ops.causal_conv1d(x, weight, bias, activation is not None, reverse)


def _scan(directions, z, delta_softplus, residual, masked, reverse):
    tensors = [z, *chain(*directions)]
    tensors += [None] * (15 - len(tensors))
    keep = torch.is_grad_enabled() and any(
        x.requires_grad for x in tensors if x is not None
    )
    y, _, _ = scan_ops.selective_scan(
        *tensors, delta_softplus, residual, masked, reverse, keep
    )
    return y
