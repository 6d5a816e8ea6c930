"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import (
    AdaptCheckpointHook,
    BrokenFilesHook,
    EpochSeedHook,
    FiniteLossHook,
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
from .schedules import StretchedCosineLR, StretchedCosineParamScheduler

__all__ = [
    'AdaptCheckpointHook',
    'BrokenFilesHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
    'PretrainingCurvesHook',
    'ProbeChoiceHook',
    'ProbeGridOptimWrapperConstructor',
    'ProbeGridScheduler',
    'StretchedCosineLR',
    'StretchedCosineParamScheduler',
]
