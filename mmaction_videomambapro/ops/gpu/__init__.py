"""The scan for GPUs: Triton kernels, which come with every PyTorch for GPUs.

``forward``, ``backward``, ``segments`` and ``conv1d`` are the kernels, ``tiles`` says
how their numbers lie in a warp, ``plan`` decides how a scan is divided; ``scan_ops``
and ``conv1d_ops`` make PyTorch operators of them. ``TRITON_INTERPRET=1``, set before
the first import, runs them on CPUs instead, slowly, to test them.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

MAX_STATES = 64  # in the registers of four lanes

_INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'
_OLDEST = 3, 4  # kernels read attributes of constants

conv1d_operator = scan_operator = None
_missing = 'this PyTorch is not built for GPUs'
if _INTERPRETED or torch.version.cuda or torch.version.hip:
    try:
        import triton

        if tuple(map(int, triton.__version__.split('.')[:2])) >= _OLDEST:
            from .conv1d_ops import conv1d_operator  # noqa: F401
            from .scan_ops import scan_operator
        else:
            _missing = f'triton is {triton.__version__}, it takes 3.4 or later'
    except ImportError as error:
        if error.name != 'triton':
            raise
        _missing = 'triton is not installed, `pip install triton` makes the scan faster'


def why_not(u: Tensor, states: int) -> str | None:
    """The reason why this backend cannot serve a call, or None."""
    if u.device.type != 'cuda' and not _INTERPRETED:
        return f'it is for GPUs, and u is on {u.device.type}'
    if scan_operator is None:
        return _missing
    if u.dtype == torch.float64:
        return 'it has no float64'
    if states > MAX_STATES:
        return f'it takes up to {MAX_STATES} states, not {states}'
    return None
