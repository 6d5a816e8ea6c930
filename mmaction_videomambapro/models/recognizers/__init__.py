"""Recognizers that MMAction2 lacks."""

from .distilled import DistilledRecognizer3D

__all__ = ['DistilledRecognizer3D']
