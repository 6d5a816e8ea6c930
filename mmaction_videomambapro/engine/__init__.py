"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import BrokenFilesHook, EpochSeedHook

__all__ = ['BrokenFilesHook', 'EpochSeedHook']
