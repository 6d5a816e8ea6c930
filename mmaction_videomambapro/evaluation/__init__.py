"""Metrics that MMAction2 lacks; importing this registers them."""

from .evaluator import EvaluationError, ScoresError
from .probe_grid_metric import ProbeGridMetric
from .representation_metric import RepresentationMetric

__all__ = ['EvaluationError', 'ProbeGridMetric', 'RepresentationMetric', 'ScoresError']
