"""The backbones for images, for use in mmpretrain's ImageClassifier."""

from __future__ import annotations

from mmpretrain.registry import MODELS
from torch import Tensor

from .videomamba import VideoMamba, VideoMambaPro


@MODELS.register_module()
class ImageVideoMamba(VideoMamba):
    """VideoMamba for images, as clips of one frame, with mmpretrain's interface.

    Its weights are those of :class:`VideoMamba` with ``num_frames=1``.

    Args:
        *args: Positional arguments of :class:`VideoMamba`.
        **kwargs: Keyword arguments of :class:`VideoMamba`, except ``num_frames``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, num_frames=1, **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Encode normalised images, (N, 3, H, W); see ``out_type`` for the output."""
        return (super().forward(x.unsqueeze(2)),)


@MODELS.register_module()
class ImageVideoMambaPro(ImageVideoMamba, VideoMambaPro):
    """VideoMambaPro for images; arguments as for :class:`ImageVideoMamba`."""
