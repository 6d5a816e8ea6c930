"""Datasets, samplers and transforms; importing this registers them in MMAction2."""

from .feature_cache import CachedFeatures
from .list_datasets import ImageListDataset, RawFrameClsDataset, VideoClsDataset
from .samplers import SeededSampler
from .transforms import (
    ClipRandAugment,
    RepeatViews,
    SampleDense,
    SampleSparse,
    SampleSSv2,
    SampleVJEPA,
    ShuffleFrames,
    VideoDecode,
    VideoInit,
)

__all__ = [
    'CachedFeatures',
    'ClipRandAugment',
    'ImageListDataset',
    'RawFrameClsDataset',
    'RepeatViews',
    'SampleDense',
    'SampleSSv2',
    'SampleSparse',
    'SampleVJEPA',
    'SeededSampler',
    'ShuffleFrames',
    'VideoClsDataset',
    'VideoDecode',
    'VideoInit',
]
