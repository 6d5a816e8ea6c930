from .rand_augment import ClipRandAugment
from .sampling import SampleDense, SampleSparse, SampleSSv2, SampleVJEPA
from .shuffle import ShuffleFrames

__all__ = [
    'ClipRandAugment',
    'SampleDense',
    'SampleSSv2',
    'SampleSparse',
    'SampleVJEPA',
    'ShuffleFrames',
]
