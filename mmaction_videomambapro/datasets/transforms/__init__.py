from .sampling import SampleDense, SampleSparse, SampleSSv2, SampleVJEPA
from .shuffle import ShuffleFrames

__all__ = ['SampleDense', 'SampleSSv2', 'SampleSparse', 'SampleVJEPA', 'ShuffleFrames']
