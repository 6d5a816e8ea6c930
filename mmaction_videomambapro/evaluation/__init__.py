"""Metrics that MMAction2 lacks; importing this registers them."""

from .representation_metric import RepresentationMetric

__all__ = ['RepresentationMetric']
