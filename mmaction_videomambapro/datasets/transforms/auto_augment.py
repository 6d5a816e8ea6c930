"""AutoAugment and RandAugment for clips and images, as timm defines them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from mmaction.registry import TRANSFORMS

from .augment_operations import FILL, LEVELS, ClipAugment

# one sub-policy per line: two operations, each with its probability and level
POLICIES = {
    'original': """
        PosterizeOriginal 0.4 8  Rotate 0.6 9
        Solarize 0.6 5           AutoContrast 0.6 5
        Equalize 0.8 8           Equalize 0.6 3
        PosterizeOriginal 0.6 7  PosterizeOriginal 0.6 6
        Equalize 0.4 7           Solarize 0.2 4
        Equalize 0.4 4           Rotate 0.8 8
        Solarize 0.6 3           Equalize 0.6 7
        PosterizeOriginal 0.8 5  Equalize 1.0 2
        Rotate 0.2 3             Solarize 0.6 8
        Equalize 0.6 8           PosterizeOriginal 0.4 6
        Rotate 0.8 8             Color 0.4 0
        Rotate 0.4 9             Equalize 0.6 2
        Equalize 0.0 7           Equalize 0.8 8
        Invert 0.6 4             Equalize 1.0 8
        Color 0.6 4              Contrast 1.0 8
        Rotate 0.8 8             Color 1.0 2
        Color 0.8 8              Solarize 0.8 7
        Sharpness 0.4 7          Invert 0.6 8
        ShearX 0.6 5             Equalize 1.0 9
        Color 0.4 0              Equalize 0.6 3
        Equalize 0.4 7           Solarize 0.2 4
        Solarize 0.6 5           AutoContrast 0.6 5
        Invert 0.6 4             Equalize 1.0 8
        Color 0.6 4              Contrast 1.0 8
        Equalize 0.8 8           Equalize 0.6 3
    """,
    'v0': """
        Equalize 0.8 1           ShearY 0.8 4
        Color 0.4 9              Equalize 0.6 3
        Color 0.4 1              Rotate 0.6 8
        Solarize 0.8 3           Equalize 0.4 7
        Solarize 0.4 2           Solarize 0.6 2
        Color 0.2 0              Equalize 0.8 8
        Equalize 0.4 8           SolarizeAdd 0.8 3
        ShearX 0.2 9             Rotate 0.6 8
        Color 0.6 1              Equalize 1.0 2
        Invert 0.4 9             Rotate 0.6 0
        Equalize 1.0 9           ShearY 0.6 3
        Color 0.4 7              Equalize 0.6 0
        Posterize 0.4 6          AutoContrast 0.4 7
        Solarize 0.6 8           Color 0.6 9
        Solarize 0.2 4           Rotate 0.8 9
        Rotate 1.0 7             TranslateYRel 0.8 9
        ShearX 0.0 0             Solarize 0.8 4
        ShearY 0.8 0             Color 0.6 4
        Color 1.0 0              Rotate 0.6 2
        Equalize 0.8 4           Equalize 0.0 8
        Equalize 1.0 4           AutoContrast 0.6 2
        ShearY 0.4 7             SolarizeAdd 0.6 7
        Posterize 0.8 2          Solarize 0.6 10
        Solarize 0.6 8           Equalize 0.6 1
        Color 0.8 6              Rotate 0.4 5
    """,
}

# the operations of RandAugment
NAMES = (
    'AutoContrast', 'Equalize', 'Invert', 'Rotate', 'PosterizeIncreasing',
    'SolarizeIncreasing', 'SolarizeAdd', 'ColorIncreasing', 'ContrastIncreasing',
    'BrightnessIncreasing', 'SharpnessIncreasing', 'ShearX', 'ShearY', 'TranslateXRel',
    'TranslateYRel',
)  # fmt: skip


@TRANSFORMS.register_module()
class ClipAutoAugment(ClipAugment):
    """Apply one of 25 pairs of operations to a clip, the same in all its frames.

    The pair is drawn per clip, and each of its operations has its own probability. The
    policies are those of timm's ``auto_augment.py``: ``'original'`` from arXiv
    1805.09501, and ``'v0'`` from EfficientNet's released code. timm's own class draws
    anew for each frame, and torchvision's has no ``'v0'``.

    Requires and changes "imgs": RGB frames (H, W, 3) of type uint8.

    Args:
        policy (str): ``'original'`` or ``'v0'``. Defaults to ``'original'``.
        interpolation (str): Interpolation of the geometric operations: ``'random'``
            (bilinear or bicubic, drawn each time), ``'bilinear'`` or ``'bicubic'``.
            Defaults to ``'random'``.
        fill (Sequence[int]): RGB colour of pixels from outside the frame.
            Defaults to (128, 128, 128).

    Raises:
        ValueError: If the policy or the interpolation is unknown.
    """

    def __init__(
        self,
        policy: str = 'original',
        interpolation: str = 'random',
        fill: Sequence[int] = FILL,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f'policy is {policy!r}, expected one of {list(POLICIES)}')
        super().__init__(policy, interpolation, fill)
        lines = [line.split() for line in POLICIES[policy].strip().splitlines()]
        self.pairs = [(_operation(*x[:3]), _operation(*x[3:])) for x in lines]

    def draw(self) -> Iterator[tuple[str, float]]:
        for name, probability, level in self.pairs[np.random.randint(len(self.pairs))]:
            if np.random.rand() < probability:
                yield name, level


def _operation(name, probability, level):
    return name, float(probability), float(level)


@TRANSFORMS.register_module()
class ClipRandAugment(ClipAugment):
    """Apply a few operations, drawn for each clip, to all of its frames.

    ``rand-m7-n4-mstd0.5-inc1`` draws 4 of 15 operations, with replacement, and applies
    each with probability 0.5, at a magnitude of 7 +- 0.5 (normal, clipped to 0 to 10).
    From arXiv 1909.13719, with the operations, ranges and "increasing" severity of
    timm's ``auto_augment.py``. timm's own class draws anew for each frame;
    torchvision's has other operations and ranges, and applies all that it draws.

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
