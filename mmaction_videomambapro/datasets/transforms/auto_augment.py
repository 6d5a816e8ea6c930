"""AutoAugment for clips and images, as timm defines it, on uint8 frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from mmaction.registry import TRANSFORMS

from .augment_operations import FILL, ClipAugment

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


@TRANSFORMS.register_module()
class ClipAutoAugment(ClipAugment):
    """Apply one of 25 pairs of operations to a clip, the same in all its frames.

    The pair is drawn per clip, and each of its operations has its own probability. The
    policies are those of timm's ``auto_augment.py``: ``'original'`` from arXiv
    1805.09501, and ``'v0'`` from EfficientNet's released code. timm's own class takes
    single Pillow images and draws anew for each, and torchvision's lacks ``'v0'``.

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
