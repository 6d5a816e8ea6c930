"""The scan for CPUs: kernels that LLVM compiles for the machine at hand.

``lanes`` is the language that kernels are written in, ``functions`` and ``tiles`` what
they are made of, ``scan`` and ``conv1d`` the kernels themselves. ``compiler`` makes
machine code of them, ``scan_ops`` and ``conv1d_ops`` make PyTorch operators, ``call``
prepares a call and ``threads`` runs it.

Why not something ready-made (measured in docs/performance.md):

- Numba has threads of its own. Where PyTorch's keep their cores busy while they wait,
  another pool gets nothing of a second core (3.2 ms instead of 1.6 ms for the same
  work); these kernels run on PyTorch's threads.
- C++ needs a compiler at installation, or a wheel per platform. llvmlite has wheels.
- torch.compile needs a C++ compiler at run time, and unrolls a loop over tokens. The
  same algorithm in PyTorch's own operators (``chunked``) takes 15 to 22 times as long.
"""

from __future__ import annotations

from torch import Tensor

try:
    from .conv1d_ops import conv1d_operator
    from .scan_ops import scan_operator
except ImportError as error:
    if not (error.name or '').startswith('llvmlite'):
        raise
    conv1d_operator = scan_operator = None

MAX_STATES = 64  # a task's sums over them have to fit its thread's stack


def why_not(u: Tensor, states: int) -> str | None:
    """The reason why this backend cannot serve a call, or None."""
    if u.device.type != 'cpu':
        return f'it is for CPUs, and u is on {u.device.type}'
    if scan_operator is None:
        return 'llvmlite is not installed, `pip install llvmlite` makes the scan faster'
    if states > MAX_STATES:
        return f'it takes up to {MAX_STATES} states, not {states}'
    return None
