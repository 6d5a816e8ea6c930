"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import (
    AdaptCheckpointHook,
    BrokenFilesHook,
    EpochSeedHook,
    PretrainingCurvesHook,
    ProbeChoiceHook,
)
from .optimizers import (
    GuardedAmpOptimWrapper,
    GuardedOptimWrapper,
    LayerDecayOptimWrapperConstructor,
    ProbeGridOptimWrapperConstructor,
    ProbeGridScheduler,
)

__all__ = [
    'AdaptCheckpointHook',
    'BrokenFilesHook',
    'EpochSeedHook',
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
    'PretrainingCurvesHook',
    'ProbeChoiceHook',
    'ProbeGridOptimWrapperConstructor',
    'ProbeGridScheduler',
]
