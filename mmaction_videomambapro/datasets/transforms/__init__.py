from .shuffle import ShuffleFrames

__all__ = ['ShuffleFrames']
