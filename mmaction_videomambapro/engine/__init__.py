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
)
from .schedules import StretchedCosineLR, StretchedCosineParamScheduler

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
    'StretchedCosineLR',
    'StretchedCosineParamScheduler',
]
