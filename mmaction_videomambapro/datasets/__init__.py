"""Datasets, samplers and transforms; importing this registers them in MMAction2."""

from . import feature_cache, list_datasets, samplers, transforms

__all__ = ['feature_cache', 'list_datasets', 'samplers', 'transforms']
