from .ema import LinearEMA
from .masks import MultiBlock3DMask, RandomTubeMask
from .predictors import JEPAMambaPredictor, JEPATransformerPredictor
from .video_jepa import VideoJEPA
from .vision_transformer import TokenVisionTransformer

__all__ = [
    'JEPAMambaPredictor',
    'JEPATransformerPredictor',
    'LinearEMA',
    'MultiBlock3DMask',
    'RandomTubeMask',
    'TokenVisionTransformer',
    'VideoJEPA',
]
