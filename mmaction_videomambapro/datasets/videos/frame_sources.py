"""Frames that are not in a video file, read as a :class:`Video` is."""

from __future__ import annotations

import os
import os.path as osp
import re
from collections.abc import Sequence

import mmcv
import numpy as np

from ..media import IMAGES
from .shrink import shrink
from .source import VideoError, open_file


class FrameSource:
    """Base class: a sequence of frames with the methods of :class:`Video`.

    Args:
        name (str): What errors call it.
        fps (float, optional): Frames per second, where known. Defaults to None.
    """

    def __init__(self, name: str, fps: float | None = None) -> None:
        self.path, self.fps = name, fps

    def __len__(self) -> int:
        raise NotImplementedError

    def frame(self, i: int) -> np.ndarray:
        """Frame i, counted from 0, (H, W, 3) uint8 RGB."""
        raise NotImplementedError

    def frames(
        self, inds: Sequence[int], short_side: int | None = None
    ) -> list[np.ndarray]:
        """Return some frames; see :meth:`Video.frames`."""
        last = len(self) - 1
        return [shrink(self.frame(min(int(i), last)), short_side) for i in inds]

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FrameArray(FrameSource):
    """Frames in memory.

    Args:
        array (ndarray): (T, H, W, 3) uint8 RGB.
        name (str): What errors call it. Defaults to 'array'.
        fps (float, optional): Frames per second. Defaults to None.

    Raises:
        VideoError: If the array has another shape or type, or no frames.
    """

    def __init__(
        self, array: np.ndarray, name: str = 'array', fps: float | None = None
    ) -> None:
        super().__init__(name, fps)
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
            raise VideoError(
                f'{name} has shape {tuple(array.shape)} and type {array.dtype}; '
                'expected (frames, height, width, 3) and uint8, in RGB'
            )
        if not array.size:
            raise VideoError(f'{name} has no frames')
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def frame(self, i: int) -> np.ndarray:
        return np.array(self.array[i])  # a transform may write into it


class FrameFiles(FrameSource):
    """Images, one per frame, decoded as MMAction2's ``RawFrameDecode`` does.

    Args:
        paths (Sequence[str]): The images, in order.
        name (str): What errors call them together.

    Raises:
        VideoError: If there are none.
    """

    def __init__(self, paths: Sequence[str], name: str) -> None:
        super().__init__(name)
        if not paths:
            raise VideoError(f'{name} has no images')
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def frame(self, i: int) -> np.ndarray:
        with open_file(self.paths[i]) as file:
            image = mmcv.imfrombytes(file.read(), channel_order='rgb')
        if image is None:
            raise VideoError(f'{self.paths[i]} is not an image that can be decoded')
        return image


def frames_in(folder: str) -> list[str]:
    """Paths of the images in a folder: ``2.jpg`` comes before ``10.jpg``.

    Hidden files and files that are not images are left out.

    Raises:
        OSError: If the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [
            x.name
            for x in entries
            if osp.splitext(x.name)[1].lower() in IMAGES and not x.name.startswith('.')
        ]
    return [osp.join(folder, name) for name in sorted(names, key=_in_order)]


def _in_order(name):
    parts = re.split(r'([0-9]+)', name)
    return [(int(x), '') if i % 2 else (0, x) for i, x in enumerate(parts)], name
