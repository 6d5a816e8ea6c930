"""What an exported file computes: from frames as decoders give them to scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..models.heads import AttentiveProbeGrid

AVERAGES = 'prob', 'score'


class FramesModel(nn.Module):
    """A recognizer from frames to the average scores of all views of a video.

    Args:
        recognizer (nn.Module): MMAction2's ``Recognizer3D``, or one with its methods.
        features (bool): Return what the backbone gives instead of scores.
            Defaults to False.

    Attributes:
        num_clips (int): A video's views have to be a multiple of it.

    Raises:
        UsageError: If it takes other inputs, or does not average its scores.
    """

    def __init__(self, recognizer: Any, features: bool = False) -> None:
        super().__init__()
        self.recognizer, self.features = recognizer, features
        shape = getattr(recognizer.data_preprocessor, 'format_shape', None)
        if shape != 'NCTHW':
            raise UsageError(
                f'the data preprocessor has format_shape={shape!r}: only recognizers '
                "of clips, with 'NCTHW', can be exported"
            )
        self.num_clips = 1
        if not features:
            self.head = _head_of(recognizer)
            self.num_clips = getattr(self.head, 'num_clips', 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Compute scores.

        Args:
            frames (Tensor): RGB, (batch, views, T, H, W, 3), uint8.

        Returns:
            Tensor: Scores, (batch, classes); or features, (batch, views, ...).
        """
        batch = frames.shape[0]
        views = frames.permute(0, 1, 5, 2, 3, 4)  # (batch, views, 3, T, H, W)
        views = self._normalise(views.flatten(0, 1))
        stage = 'backbone' if self.features else 'neck'
        x, _ = self.recognizer.extract_feat(views, stage)
        if not self.features:
            x = self.head(x)
        x = x.unflatten(0, (batch, -1))
        if self.features:
            return x
        if self.head.average_clips == 'prob':
            x = torch.softmax(x, -1)
        return x.mean(1)

    def _normalise(self, views: Tensor) -> Tensor:
        """As MMAction2's preprocessor, which pads and therefore cannot be traced."""
        preprocessor = self.recognizer.data_preprocessor
        if preprocessor.to_rgb:
            views = views.flip(1)
        views = views.float()
        if preprocessor._enable_normalize:
            views = (views - preprocessor.mean) / preprocessor.std
        return views[:, None]  # one view each


def _head_of(recognizer):
    """What gives scores; of a grid of probes, the one that was chosen."""
    if not getattr(recognizer, 'with_cls_head', False):
        raise UsageError('the model has no cls_head: export it with --features')
    head = recognizer.cls_head
    if isinstance(head, AttentiveProbeGrid):
        if head.best < 0:
            raise UsageError(
                'no probe of the checkpoint was chosen, because it was saved before '
                'the first validation: export a best_*.pth, or a later one'
            )
        head = head.probes[int(head.best)]
    if head.average_clips not in AVERAGES:
        raise UsageError(
            f'the head has average_clips={head.average_clips!r}, so there is no score '
            "of a video: set --cfg-options model.cls_head.average_clips='prob'"
        )
    return head
