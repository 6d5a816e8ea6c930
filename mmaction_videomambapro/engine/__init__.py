"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import AdaptCheckpointHook, BrokenFilesHook, EpochSeedHook
from .optimizers import LayerDecayOptimWrapperConstructor

__all__ = [
    'AdaptCheckpointHook',
    'BrokenFilesHook',
    'EpochSeedHook',
    'LayerDecayOptimWrapperConstructor',
]
