"""The arithmetic: the selective scan and the causal convolution. Knows no model."""

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
