"""Backbones and layers; importing this registers them in MMAction2's MODELS."""

from .backbones import VideoMamba, VideoMambaPro
from .layers import MaskedResidualBiMamba

__all__ = ['MaskedResidualBiMamba', 'VideoMamba', 'VideoMambaPro']
