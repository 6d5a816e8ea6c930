from .auto_augment import ClipAutoAugment
from .loading import VideoDecode, VideoInit
from .rand_augment import ClipRandAugment
from .sampling import SampleDense, SampleSparse, SampleSSv2, SampleVJEPA
from .shuffle import ShuffleFrames
from .views import RepeatViews

__all__ = [
    'ClipAutoAugment',
    'ClipRandAugment',
    'RepeatViews',
    'SampleDense',
    'SampleSSv2',
    'SampleSparse',
    'SampleVJEPA',
    'ShuffleFrames',
    'VideoDecode',
    'VideoInit',
]
