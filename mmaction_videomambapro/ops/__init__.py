"""The arithmetic: the selective scan and the causal convolution. Knows no model.

The way from a mixer to machine code:

1. ``selective_scan``, ``causal_conv1d``: the public functions check their tensors.
2. ``backends`` chooses who computes; ``naive`` is the definition of what is computed.
3. ``operators`` makes PyTorch operators of kernels, with fakes and gradients.
4. ``cpu/scan_ops``, ``gpu/scan_ops`` allocate results and launch the kernels.
5. ``cpu/scan``, ``gpu/forward``, ``gpu/backward`` are the kernels; ``cpu/compiler`` and
   Triton compile them.

``scan_selected`` calls step 3's operators itself, for mixers that are to keep less.
"""

from .backends import BACKENDS
from .causal_conv1d import causal_conv1d
from .operators.scan import ScanInputs
from .selective_scan import bidirectional_scan, selective_scan

__all__ = [
    'BACKENDS',
    'ScanInputs',
    'bidirectional_scan',
    'causal_conv1d',
    'selective_scan',
]
