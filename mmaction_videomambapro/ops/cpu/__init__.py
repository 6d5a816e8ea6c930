"""The scan for CPUs: kernels that LLVM compiles for the machine at hand.

``jit`` builds and compiles kernels, ``functions`` are the exponentials in them,
``scan`` and ``conv1d`` the kernels themselves, ``ops`` makes PyTorch operators of
them and ``threads`` runs them.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor

try:
    from . import ops
except ImportError as error:
    if not error.name.startswith('llvmlite'):
        raise
    ops = None

MAX_STATES = 64  # a task's sums over them have to fit its thread's stack


def why_not(u: Tensor, A: Tensor) -> str | None:
    """The reason why this backend can not serve a call, or None."""
    if u.device.type != 'cpu':
        return f'it is for CPUs, and u is on {u.device.type}'
    if ops is None:
        return 'llvmlite is not installed, `pip install llvmlite` makes the scan faster'
    if A.shape[1] > MAX_STATES:
        return f'it takes up to {MAX_STATES} states, and A has {A.shape[1]}'
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


def _scan(directions, z, delta_softplus, residual, masked, reverse):
    # by argument instead of by direction; an argument that is not given is no list
    lists = [[x for x in xs if x is not None] for xs in zip(*directions)]
    keep = torch.is_grad_enabled() and any(
        x.requires_grad for x in chain([z] if z is not None else [], *lists)
    )
    y, _, _ = ops.selective_scan(
        *lists, z, delta_softplus, residual, masked, reverse, keep
    )
    return y
