"""Datasets and transforms; importing this registers them in MMAction2."""

from .transforms import ShuffleFrames

__all__ = ['ShuffleFrames']
