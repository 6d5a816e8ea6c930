"""What AutoAugment and RandAugment share: timm's operations on the frames of clips.

They use lookup tables or OpenCV on whole frames, and agree with Pillow's operations to
within one level. Only bicubic interpolation differs: OpenCV's kernel has -0.75,
Pillow's has -1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

Frames = list[np.ndarray]  # (H, W, 3), uint8, RGB

INTERPOLATIONS = dict(
    bilinear=[cv2.INTER_LINEAR],
    bicubic=[cv2.INTER_CUBIC],
    random=[cv2.INTER_LINEAR, cv2.INTER_CUBIC],
)
FILL = 128, 128, 128
LEVELS = 10
_LUMA = np.array([19595, 38470, 7471]) / 65536  # as Pillow weighs red, green, blue


class Draw(NamedTuple):
    """The parameters drawn for one operation.

    Attributes:
        level (float): Strength, 0 to 10.
        sign (int): Direction, -1 or 1.
        interpolation (int): OpenCV's flag. Defaults to bilinear.
        fill (tuple[int]): RGB colour of pixels from outside the frame.
            Defaults to grey.
    """

    level: float
    sign: int
    interpolation: int = cv2.INTER_LINEAR
    fill: tuple[int, ...] = FILL


def auto_contrast(frames: Frames, how: Draw) -> Frames:
    """Stretch each channel of each frame to all 256 values."""
    results = []
    for frame in frames:
        rows = frame.reshape(len(frame), -1)  # reduce the long axis first: vectorised
        low = rows.min(0).reshape(-1, 3).min(0).astype(float)
        high = rows.max(0).reshape(-1, 3).max(0).astype(float)
        flat = high <= low
        scale = np.where(flat, 1, 255 / np.where(flat, 1, high - low))
        results.append(_linear(frame, np.diag(scale), np.where(flat, 0, -low * scale)))
    return results


def equalize(frames: Frames, how: Draw) -> Frames:
    """Spread the values of each channel of each frame evenly."""

    def table(frame, channel):
        histogram = cv2.calcHist([frame], [channel], None, [256], [0, 256])
        histogram = histogram.ravel().astype(int)
        present = histogram[histogram > 0]
        step = (present.sum() - present[-1]) // 255
        if len(present) <= 1 or step == 0:
            return np.arange(256)
        before = np.concatenate([[0], histogram.cumsum()[:-1]])
        return np.clip((before + step // 2) // step, 0, 255)

    results = []
    for frame in frames:
        tables = np.stack([table(frame, c) for c in range(3)], -1)  # (256, 3)
        results.append(cv2.LUT(frame, tables[:, None].astype(np.uint8)))
    return results


def invert(frames: Frames, how: Draw) -> Frames:
    return [cv2.bitwise_not(frame) for frame in frames]


def posterize(frames: Frames, bits: int) -> Frames:
    """Keep only the highest bits."""
    return [frame & np.uint8(256 - 2 ** (8 - bits)) for frame in frames]


def solarize(frames: Frames, threshold: int) -> Frames:
    """Invert bright values."""
    values = np.arange(256)
    return _look_up(frames, np.where(values < threshold, values, 255 - values))


def solarize_add(frames: Frames, how: Draw) -> Frames:
    """Brighten dark values."""
    values, add = np.arange(256), _part(how, 110)
    brighter = np.minimum(values + add, 255)
    return _look_up(frames, np.where(values < 128, brighter, values))


def color(frames: Frames, factor: float) -> Frames:
    """Move colours towards grey, or away from it."""
    matrix = factor * np.eye(3) + (1 - factor) * _LUMA
    return [_linear(frame, matrix, np.zeros(3)) for frame in frames]


def contrast(frames: Frames, factor: float) -> Frames:
    """Move values towards the mean grey of each frame, or away from it."""
    values = np.arange(256)
    results = []
    for frame in frames:
        grey = int(np.dot(cv2.mean(frame)[:3], _LUMA) + 0.5)
        results += _look_up([frame], grey + (values - grey) * factor)
    return results


def brightness(frames: Frames, factor: float) -> Frames:
    return _look_up(frames, np.arange(256) * factor)


def sharpness(frames: Frames, factor: float) -> Frames:
    """Move towards a smoothed frame, or away from it; the border is unchanged."""
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5
    kernel = (1 - factor) / 13 * kernel
    kernel[1, 1] += factor
    results = []
    for frame in frames:
        sharper = frame.copy()
        sharper[1:-1, 1:-1] = cv2.filter2D(frame, -1, kernel)[1:-1, 1:-1]
        results.append(sharper)
    return results


def rotate(frames: Frames, how: Draw) -> Frames:
    """Rotate by up to 30 degrees about the centre."""
    angle = np.deg2rad(how.level / LEVELS * 30 * how.sign)
    cos, sin = np.cos(angle), np.sin(angle)
    height, width = frames[0].shape[:2]
    x, y = width / 2, height / 2
    # like all matrices here, it maps pixels of the result to their source
    return _warp(
        frames,
        how,
        [
            [cos, -sin, x - x * cos + y * sin],
            [sin, cos, y - x * sin - y * cos],
        ],
    )


def shear_x(frames: Frames, how: Draw) -> Frames:
    return _warp(frames, how, [[1, how.level / LEVELS * 0.3 * how.sign, 0], [0, 1, 0]])


def shear_y(frames: Frames, how: Draw) -> Frames:
    return _warp(frames, how, [[1, 0, 0], [how.level / LEVELS * 0.3 * how.sign, 1, 0]])


def translate_x(frames: Frames, how: Draw) -> Frames:
    """Shift by up to 45 % of the width."""
    by = how.level / LEVELS * 0.45 * how.sign * frames[0].shape[1]
    return _warp(frames, how, [[1, 0, by], [0, 1, 0]])


def translate_y(frames: Frames, how: Draw) -> Frames:
    by = how.level / LEVELS * 0.45 * how.sign * frames[0].shape[0]
    return _warp(frames, how, [[1, 0, 0], [0, 1, by]])


# timm's names; "Increasing" means stronger at higher levels
OPERATIONS: dict[str, Callable[[Frames, Draw], Frames]] = {
    'AutoContrast': auto_contrast,
    'Equalize': equalize,
    'Invert': invert,
    'Rotate': rotate,
    'Posterize': lambda frames, how: posterize(frames, _part(how, 4)),
    'PosterizeIncreasing': lambda frames, how: posterize(frames, 4 - _part(how, 4)),
    'PosterizeOriginal': lambda frames, how: posterize(frames, 4 + _part(how, 4)),
    'Solarize': lambda frames, how: solarize(frames, _part(how, 256)),
    'SolarizeIncreasing': lambda frames, how: solarize(frames, 256 - _part(how, 256)),
    'SolarizeAdd': solarize_add,
    'Color': lambda frames, how: color(frames, _factor(how)),
    'ColorIncreasing': lambda frames, how: color(frames, _signed_factor(how)),
    'Contrast': lambda frames, how: contrast(frames, _factor(how)),
    'ContrastIncreasing': lambda frames, how: contrast(frames, _signed_factor(how)),
    'BrightnessIncreasing': lambda frames, how: brightness(frames, _signed_factor(how)),
    'Sharpness': lambda frames, how: sharpness(frames, _factor(how)),
    'SharpnessIncreasing': lambda frames, how: sharpness(frames, _signed_factor(how)),
    'ShearX': shear_x,
    'ShearY': shear_y,
    'TranslateXRel': translate_x,
    'TranslateYRel': translate_y,
}


class ClipAugment(BaseTransform):
    """Base class: draws operations for a clip, and applies them to all its frames.

    Args:
        policy (str): The policy, for ``repr``.
        interpolation (str): A key of INTERPOLATIONS; one of its flags is drawn for each
            operation.
        fill (Sequence[int]): RGB colour of pixels from outside the frame.

    Raises:
        ValueError: If the interpolation is unknown.
    """

    def __init__(self, policy: str, interpolation: str, fill: Sequence[int]) -> None:
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f'interpolation is {interpolation!r}, expected random, bilinear or '
                'bicubic'
            )
        self.policy, self.interpolation = policy, interpolation
        self.fill = tuple(fill)

    def draw(self) -> Iterator[tuple[str, float]]:
        """Yield the name and level of each operation to apply."""
        raise NotImplementedError

    def transform(self, results: dict) -> dict:
        for name, level in self.draw():
            sign = int(np.random.choice([-1, 1]))
            flags = int(np.random.choice(INTERPOLATIONS[self.interpolation]))
            how = Draw(level, sign, flags, self.fill)
            results['imgs'] = OPERATIONS[name](results['imgs'], how)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(policy={self.policy!r})'


def _part(how, whole):
    return int(how.level / LEVELS * whole)


def _factor(how):
    """Share of the original frame to keep, from 0.1 to 1.9."""
    return how.level / LEVELS * 1.8 + 0.1


def _signed_factor(how):
    """Share of the original frame to keep; 1 changes nothing."""
    return max(0.1, 1 + how.level / LEVELS * 0.9 * how.sign)


def _look_up(frames, table):
    table = np.clip(table, 0, 255).astype(np.uint8)
    return [cv2.LUT(frame, table) for frame in frames]


def _linear(frame, matrix, shift):
    """Apply a (3, 3) matrix and a shift to channels; truncate as Pillow, not OpenCV."""
    matrix = np.column_stack([matrix, shift - 0.49])
    return cv2.transform(frame, matrix.astype(np.float32))


def _warp(frames, how, matrix):
    """Warp by an affine map from result to source; pixel centres are at 0.5.

    As in Pillow, the fill is not blended with pixels at the border of a frame.
    """
    matrix = np.array(matrix, dtype=np.float64)
    height, width = frames[0].shape[:2]
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    source_x, source_y = (a * x + b * y + c for a, b, c in matrix)
    outside = (source_x < 0) | (source_x >= width)
    outside |= (source_y < 0) | (source_y >= height)
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
    results = []
    for frame in frames:
        result = cv2.warpAffine(
            frame,
            matrix,
            (width, height),
            flags=how.interpolation | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        result[outside] = how.fill
        results.append(result)
    return results
