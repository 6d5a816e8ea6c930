"""Metrics that MMAction2 lacks; importing this registers them."""

from . import patches
from .probe_grid_metric import ProbeGridMetric
from .representation_metric import RepresentationMetric

__all__ = ['ProbeGridMetric', 'RepresentationMetric', 'patches']
