"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import BrokenFilesHook, EpochSeedHook
from .samplers import SeededSampler

__all__ = ['BrokenFilesHook', 'EpochSeedHook', 'SeededSampler']
