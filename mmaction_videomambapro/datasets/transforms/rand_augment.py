"""RandAugment for clips, as timm defines it, on uint8 frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from mmaction.registry import TRANSFORMS

from .augment_operations import FILL, LEVELS, ClipAugment

NAMES = (
    'AutoContrast', 'Equalize', 'Invert', 'Rotate', 'PosterizeIncreasing',
    'SolarizeIncreasing', 'SolarizeAdd', 'ColorIncreasing', 'ContrastIncreasing',
    'BrightnessIncreasing', 'SharpnessIncreasing', 'ShearX', 'ShearY', 'TranslateXRel',
    'TranslateYRel',
)  # fmt: skip


@TRANSFORMS.register_module()
class ClipRandAugment(ClipAugment):
    """Apply a few operations, drawn for each clip, to all of its frames.

    ``rand-m7-n4-mstd0.5-inc1`` draws 4 of 15 operations, with replacement, and applies
    each with probability 0.5, at a magnitude of 7 +- 0.5 (normal, clipped to 0 to 10).
    From arXiv 1909.13719, with the operations, ranges and "increasing" severity of
    timm's ``auto_augment.py``. timm's own class takes single Pillow images and draws
    anew for each; torchvision's has other operations and ranges, and always applies
    all that it draws, at one magnitude.

    Requires and changes "imgs": RGB frames (H, W, 3) of type uint8.

    Args:
        policy (str): In timm's notation: m, n and mstd in any order; inc1 is required.
            Defaults to ``'rand-m7-n4-mstd0.5-inc1'``.
        interpolation (str): Interpolation of the geometric operations: ``'random'``
            (bilinear or bicubic, drawn each time, as in timm); ``'bilinear'``, two to
            three times as fast; or ``'bicubic'``. Defaults to ``'random'``.
        fill (Sequence[int]): RGB colour of pixels from outside the frame. Published
            video training uses the default; timm uses the mean of the data for images.
            Defaults to (128, 128, 128).

    Raises:
        ValueError: If the policy or the interpolation is unknown.
    """

    def __init__(
        self,
        policy: str = 'rand-m7-n4-mstd0.5-inc1',
        interpolation: str = 'random',
        fill: Sequence[int] = FILL,
    ) -> None:
        super().__init__(policy, interpolation, fill)
        kind, *parts = policy.split('-')
        found = [re.fullmatch(r'(mstd|m|n|inc)([0-9.]+)', part) for part in parts]
        values = {match[1]: float(match[2]) for match in found if match}
        if kind != 'rand' or not all(found) or values.get('inc') != 1:
            raise ValueError(
                f'policy is {policy!r}, expected something like rand-m7-n4-mstd0.5-inc1'
            )
        self.magnitude = values.get('m', 10.0)
        self.deviation = values.get('mstd', 0.0)
        self.count = int(values.get('n', 2))

    def draw(self) -> Iterator[tuple[str, float]]:
        for name in np.random.choice(NAMES, self.count):
            if np.random.rand() < 0.5:
                level = np.random.normal(self.magnitude, self.deviation)
                yield name, float(np.clip(level, 0, LEVELS))
