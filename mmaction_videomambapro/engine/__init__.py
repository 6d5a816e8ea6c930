"""Training machinery that MMEngine lacks; importing this registers it."""

from . import patches
from .hooks import (
    AdaptCheckpointHook,
    BrokenFilesHook,
    ClipVisualizationHook,
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
    'ClipVisualizationHook',
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
    'patches',
]
