from .guarded import GuardedAmpOptimWrapper, GuardedOptimWrapper, TrainingStopped
from .layer_decay import LayerDecayOptimWrapperConstructor
from .probe_grid import ProbeGridOptimWrapperConstructor, ProbeGridScheduler

__all__ = [
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
    'ProbeGridOptimWrapperConstructor',
    'ProbeGridScheduler',
    'TrainingStopped',
]
