"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import BrokenFilesHook, EpochSeedHook
from .optimizers import LayerDecayOptimWrapperConstructor

__all__ = ['BrokenFilesHook', 'EpochSeedHook', 'LayerDecayOptimWrapperConstructor']
