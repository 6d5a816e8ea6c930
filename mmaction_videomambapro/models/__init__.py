"""Networks and what trains them; importing this registers them in MODELS."""

from . import data_preprocessors, heads, recognizers, selfsup
from .backbones import VideoMamba, VideoMambaPro

__all__ = [
    'VideoMamba',
    'VideoMambaPro',
    'data_preprocessors',
    'heads',
    'recognizers',
    'selfsup',
]
