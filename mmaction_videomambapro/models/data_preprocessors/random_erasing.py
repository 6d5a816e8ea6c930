"""Random erasing of normalised clips."""

from __future__ import annotations

import math

import numpy as np
from mmaction.registry import MODELS
from torch import Tensor

TRIES = 10


@MODELS.register_module()
class ClipRandomErasing:
    """Fill a random box with noise: one box per clip, the same in all its frames.

    arXiv 1708.04896, with the noise ("pixel" mode) and the ranges of timm's
    ``random_erasing.py``, as VideoMAE and VideoMamba use it. Set it as ``blending`` of
    ``ActionDataPreprocessor``, and the actual blending as its own ``blending``: at that
    point clips are normalised and on the device, so the noise is N(0, 1), and it is
    applied in training only. (MMAction2's RandomErasing works on uint8 frames and
    clips the noise at 255.)

    Args:
        erase_prob (float): Probability that a clip is erased. Defaults to 0.25.
        area_range (tuple[float]): Range of the share of the frame that a box covers.
            Defaults to (0.02, 1 / 3).
        aspect_ratio_range (tuple[float]): Range of a box's height divided by its
            width, drawn on a logarithmic scale. Defaults to (0.3, 1 / 0.3).
        blending (dict, optional): The blending to apply afterwards, such as mixup.
            Defaults to None.
    """

    def __init__(
        self,
        erase_prob: float = 0.25,
        area_range: tuple[float, float] = (0.02, 1 / 3),
        aspect_ratio_range: tuple[float, float] = (0.3, 1 / 0.3),
        blending: dict | None = None,
    ) -> None:
        self.erase_prob, self.area_range = erase_prob, area_range
        self.log_ratio_range = tuple(map(math.log, aspect_ratio_range))
        self.blending = None if blending is None else MODELS.build(blending)

    def __call__(self, imgs: Tensor, data_samples: list) -> tuple[Tensor, list]:
        """Erase boxes in clips, (B, views, C, T, H, W), in place."""
        for clip in (clip for views in imgs for clip in views):
            if np.random.rand() < self.erase_prob:
                rows, columns = self._box(*clip.shape[-2:])
                clip[..., rows, columns].normal_()
        if self.blending is not None:
            return self.blending(imgs, data_samples)
        return imgs, data_samples

    def _box(self, height, width):
        """Draw a box inside the frame, as rows and columns; empty if none fits."""
        for _ in range(TRIES):
            area = np.random.uniform(*self.area_range) * height * width
            ratio = math.exp(np.random.uniform(*self.log_ratio_range))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < height and w < width:
                top = np.random.randint(height - h + 1)
                left = np.random.randint(width - w + 1)
                return slice(top, top + h), slice(left, left + w)
        return slice(0), slice(0)
