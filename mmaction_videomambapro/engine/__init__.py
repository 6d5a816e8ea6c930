"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import (
    AdaptCheckpointHook,
    BrokenFilesHook,
    EpochSeedHook,
    PretrainingCurvesHook,
)
from .optimizers import (
    GuardedAmpOptimWrapper,
    GuardedOptimWrapper,
    LayerDecayOptimWrapperConstructor,
)

__all__ = [
    'AdaptCheckpointHook',
    'BrokenFilesHook',
    'EpochSeedHook',
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
    'PretrainingCurvesHook',
]
