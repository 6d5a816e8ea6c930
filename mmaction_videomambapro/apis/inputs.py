"""Everything that a model can be asked about, as samples for its pipeline."""

from __future__ import annotations

import glob
import os
import os.path as osp
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..datasets.demo_clips import draw_clip
from ..datasets.lists import read_list
from ..datasets.media import IMAGES, VIDEOS, find_files
from ..datasets.videos import VideoError
from ..datasets.videos.frame_sources import FrameArray, FrameFiles, frames_in
from ..errors import UsageError

LISTS = '.txt', '.csv', '.json', '.gz', '.list', '.tsv'
_FRAMES = 64  # of a drawn clip


class Input(NamedTuple):
    """One video.

    Attributes:
        name (str): Path, URL, or what stands for an array.
        value (ndarray, optional): The frames, if they are in memory.
        total_frames (int, optional): How many frames of a folder are meant.
    """

    name: str
    value: Any = None
    total_frames: int | None = None

    def sample(self) -> dict:
        """What a pipeline starts with: a file's name, or an open reader.

        Raises:
            VideoError: If it is not a video.
            OSError: If it cannot be read.
        """
        sample = dict(start_index=0, modality='RGB')
        if self.value is not None:
            return dict(sample, video_reader=FrameArray(self.value, self.name))
        if osp.isdir(self.name):
            return dict(sample, video_reader=self._frames_of_folder())
        if osp.splitext(self.name)[1].lower() in IMAGES:
            return dict(sample, video_reader=FrameFiles([self.name], self.name))
        return dict(sample, filename=self.name)

    def _frames_of_folder(self):
        paths = frames_in(self.name)
        if len(paths) < (self.total_frames or 0):
            raise VideoError(
                f'{self.name} has {len(paths)} images, the list says '
                f'{self.total_frames}'
            )
        return FrameFiles(paths[: self.total_frames], self.name)


def find_inputs(
    inputs: Any, root: str = '', classes: Sequence[str] | None = None
) -> list[Input]:
    """List all videos that are meant.

    Args:
        inputs: A path, URL, glob, array (T, H, W, 3) or tensor of uint8 RGB, or several
            of them. A path is a video, a list in a format of
            :mod:`mmaction_videomambapro.datasets.lists`, a folder of images, which is
            one video, a folder with videos or such folders in it, or an image, which is
            a video of one frame.
        root (str): Folder in front of the paths of lists. Defaults to '': they are
            relative to the working directory, or else to the list.
        classes (Sequence[str], optional): Class names, for lists whose labels are
            names. Defaults to None.

    Returns:
        list[Input]: The videos, in order.

    Raises:
        UsageError: If there are none, or lines of a list are not rows.
        TypeError: If something is not a video.
    """
    one = isinstance(inputs, (str, os.PathLike, np.ndarray, torch.Tensor))
    found: list[Input] = []
    for item in [inputs] if one else inputs:
        if isinstance(item, torch.Tensor):
            item = item.detach().cpu().numpy()
        if isinstance(item, np.ndarray):
            found.append(Input(f'array {len(found)}', item))
            continue
        path = os.fspath(item)
        if glob.has_magic(path) and not osp.exists(path) and '://' not in path:
            paths = sorted(glob.glob(path, recursive=True))
            if not paths:
                raise UsageError(f'no file matches {path}')
        else:
            paths = [path]
        for path in paths:
            if osp.isdir(path):
                found += _in_folder(path)
            elif osp.splitext(path)[1].lower() in LISTS and osp.exists(path):
                found += _in_list(path, root, classes)
            else:  # if it is missing, its answer will say so
                found.append(Input(path))
    if not found:
        raise UsageError('there are no videos to look at')
    return found


def _in_folder(folder):
    files, left_out = find_files(folder, VIDEOS)
    if files:
        return [Input(osp.join(folder, x)) for x in files]
    images, _ = find_files(folder, IMAGES)
    folders = dict.fromkeys(osp.dirname(x) for x in images)
    if not folders:
        kinds = ', '.join(sorted(left_out)) or 'is empty'
        raise UsageError(f'{folder} has no videos and no folders of images ({kinds})')
    return [Input(osp.join(folder, x) if x else folder) for x in folders]


def _in_list(path, root, classes):
    found = []
    for row in read_list(path, classes=classes):
        place = osp.join(root, row.path)
        if not root and '://' not in place and not osp.exists(place):
            beside = osp.join(osp.dirname(path), place)
            place = beside if osp.exists(beside) else place
        found.append(Input(place, total_frames=row.total_frames))
    return found


def drawn_clip() -> Input:
    """Real frames, where there is no video: a clip of the demo."""
    frames = draw_clip(0, _FRAMES, np.random.default_rng(0))
    return Input('a drawn clip', frames[..., ::-1].copy())
