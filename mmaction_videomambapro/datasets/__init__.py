"""Datasets and transforms; importing this registers them in MMAction2."""

from .transforms import (
    SampleDense,
    SampleSparse,
    SampleSSv2,
    SampleVJEPA,
    ShuffleFrames,
)

__all__ = ['SampleDense', 'SampleSSv2', 'SampleSparse', 'SampleVJEPA', 'ShuffleFrames']
