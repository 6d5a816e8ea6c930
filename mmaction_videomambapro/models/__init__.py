"""Backbones, layers and preprocessing; importing this registers them in MODELS."""

from .backbones import VideoMamba, VideoMambaPro
from .data_preprocessors import ClipRandomErasing
from .layers import MaskedResidualBiMamba

__all__ = [
    'ClipRandomErasing',
    'MaskedResidualBiMamba',
    'VideoMamba',
    'VideoMambaPro',
]
