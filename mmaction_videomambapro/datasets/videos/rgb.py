"""From a decoded frame to an upright RGB image."""

from __future__ import annotations

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

from .source import VideoError


class ToRGB:
    """Frames as RGB, by their own colour range and matrix, upright, in one size.

    Where a file names no matrix it is BT.601's, as FFmpeg takes it. Interlaced frames
    are not taken apart, HDR keeps its transfer curve, alpha is dropped, and pixels that
    are not square stay as they are.

    Args:
        width (int): Of the stream. Frames of another size, where a recording was
            switched over, are scaled to it before they are turned.
        height (int): Of the stream.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, matrix: np.ndarray | None) -> np.ndarray:
        """(H, W, 3) uint8 of a frame, turned by a display matrix."""
        how = dict(format='rgb24', threads=1)
        try:
            rgb = self._reformatter.reformat(frame, *self.size, **how).to_ndarray()
        except av.FFmpegError as error:
            kind = f'{frame.format.name}, matrix {int(frame.colorspace)} of ITU-T H.273'
            raise VideoError(f'its colours cannot be converted: {kind}') from error
        return rgb if matrix is None else turned(rgb, matrix)


def display_matrix(frame: av.VideoFrame) -> np.ndarray | None:
    """(2, 2) part of a frame's display matrix, if there is one.

    A point (x, y) of the stored picture is shown at (x, y) @ matrix, y downwards.
    """
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None or len(bytes(data)) != 36:
        return None
    matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2] / 65536.0
    return matrix if np.linalg.det(matrix) else None


def is_upright(matrix: np.ndarray | None) -> bool:
    """Whether a display matrix leaves a picture as it is stored."""
    return matrix is None or bool((np.diag(matrix) > abs(matrix[0, 1])).all())


def turned(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """An image as its display matrix wants it shown, without its scale.

    Raises:
        VideoError: If it is turned by other than quarters of a circle.
    """
    matrix = matrix / np.abs(matrix).max(1, keepdims=True)
    unit = np.round(matrix)
    if not np.allclose(matrix, unit, atol=0.01):
        raise VideoError('it is to be shown at an angle that is not a multiple of 90°')
    if unit[0, 0] == 0:  # x and y change places
        image, unit = image.swapaxes(0, 1), unit[::-1]
    if unit[0, 0] < 0:
        image = image[:, ::-1]
    if unit[1, 1] < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)
