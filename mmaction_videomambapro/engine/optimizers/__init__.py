from .guarded import GuardedAmpOptimWrapper, GuardedOptimWrapper, TrainingStopped
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    'GuardedAmpOptimWrapper',
    'GuardedOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
    'TrainingStopped',
]
