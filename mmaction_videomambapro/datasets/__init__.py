"""Datasets and transforms; importing this registers them in MMAction2."""

from .list_datasets import ImageListDataset, RawFrameClsDataset, VideoClsDataset
from .transforms import (
    ClipRandAugment,
    SampleDense,
    SampleSparse,
    SampleSSv2,
    SampleVJEPA,
    ShuffleFrames,
)

__all__ = [
    'ClipRandAugment',
    'ImageListDataset',
    'RawFrameClsDataset',
    'SampleDense',
    'SampleSSv2',
    'SampleSparse',
    'SampleVJEPA',
    'ShuffleFrames',
    'VideoClsDataset',
]
