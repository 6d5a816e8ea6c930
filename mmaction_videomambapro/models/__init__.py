"""Networks and what trains them; importing this registers them in MODELS."""

from .backbones import VideoMamba, VideoMambaPro
from .data_preprocessors import ClipRandomErasing
from .heads import AttentiveHead, AttentiveProbeGrid
from .layers import MaskedResidualBiMamba
from .recognizers import DistilledRecognizer3D
from .selfsup import (
    JEPAMambaPredictor,
    JEPATransformerPredictor,
    LinearEMA,
    MultiBlock3DMask,
    RandomTubeMask,
    TokenVisionTransformer,
    VideoJEPA,
)

__all__ = [
    'AttentiveHead',
    'AttentiveProbeGrid',
    'ClipRandomErasing',
    'DistilledRecognizer3D',
    'JEPAMambaPredictor',
    'JEPATransformerPredictor',
    'LinearEMA',
    'MaskedResidualBiMamba',
    'MultiBlock3DMask',
    'RandomTubeMask',
    'TokenVisionTransformer',
    'VideoJEPA',
    'VideoMamba',
    'VideoMambaPro',
]
