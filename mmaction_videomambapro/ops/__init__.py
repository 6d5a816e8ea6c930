"""The arithmetic: the selective scan and the causal convolution. Knows no model."""

from .causal_conv1d import causal_conv1d
from .selective_scan import BACKENDS, ScanInputs, bidirectional_scan, selective_scan

__all__ = [
    'BACKENDS',
    'ScanInputs',
    'bidirectional_scan',
    'causal_conv1d',
    'selective_scan',
]
