"""The backbones for images, in mmpretrain's ImageClassifier."""

from __future__ import annotations

from mmpretrain.registry import MODELS
from torch import Tensor

from .videomamba import VideoMamba, VideoMambaPro


@MODELS.register_module()
class ImageVideoMamba(VideoMamba):
    """VideoMamba on images, as clips of one frame, with the contract of mmpretrain.

    Its weights are those of :class:`VideoMamba` with ``num_frames=1``.

    Args:
        *args: As for :class:`VideoMamba`.
        **kwargs: Likewise.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, num_frames=1, **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Encode normalised images (N, 3, H, W), to (N, C) or as ``out_type`` says."""
        return (super().forward(x.unsqueeze(2)),)


@MODELS.register_module()
class ImageVideoMambaPro(ImageVideoMamba, VideoMambaPro):
    """Likewise, of :class:`VideoMambaPro`."""
