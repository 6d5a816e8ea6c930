"""From a folder with a folder of videos for each class to lists and a config."""

from __future__ import annotations

import os
import os.path as osp
import random
from typing import NamedTuple

from ..files import is_empty, making_folder, replacing
from .lists import BadLine, ListError
from .own_config import own_config

VIDEOS = {
    *('.mp4', '.avi', '.mkv', '.webm', '.mov', '.m4v'),
    *('.mpg', '.mpeg', '.wmv', '.flv', '.3gp', '.ts'),
}


class Split(NamedTuple):
    """What was found: numbers of classes, of videos in each part, of other files."""

    classes: int
    train: int
    val: int
    others: int


def list_folder(
    source: str,
    destination: str,
    val_share: float = 0.2,
    seed: int = 0,
    config: str | None = None,
) -> Split:
    """Write ``train.txt``, ``val.txt``, ``classes.txt`` and ``config.py``.

    Args:
        source (str): Folder whose subfolders are the classes; videos may lie deeper.
        destination (str): A folder that does not exist yet, or is empty.
        val_share (float): Share of each class that becomes validation, at least one
            video. Defaults to 0.2.
        seed (int): Of the choice. Defaults to 0.
        config (str, optional): Config that ``config.py`` inherits from, for these
            lists and classes. Defaults to None, no ``config.py``.

    Returns:
        Split: The counts.

    Raises:
        ListError: If there are not two classes with two videos each.
        BaseConfigError: If the config does not read videos with labels.
        FileExistsError: If the destination holds something.
    """
    if osp.isdir(destination) and not is_empty(destination):
        raise FileExistsError(f'{destination} holds something: choose another folder')
    classes = sorted(entry.name for entry in os.scandir(source) if entry.is_dir())
    train, val, others, few = [], [], 0, []
    for label, name in enumerate(classes):
        videos, rest = _videos(source, name)
        others += rest
        if len(videos) < 2:
            few.append(BadLine(source, label + 1, name, f'{len(videos)} videos, not 2'))
            continue
        random.Random(f'{seed} {name}').shuffle(videos)
        count = min(max(1, round(val_share * len(videos))), len(videos) - 1)
        val += [(path, label) for path in sorted(videos[:count])]
        train += [(path, label) for path in sorted(videos[count:])]
    if few or len(classes) < 2:
        reason = 'no two folders of videos, one for each class'
        raise ListError(few or [BadLine(source, 1, '', reason)])

    files = {
        'train.txt': ''.join(f'{path} {label}\n' for path, label in train),
        'val.txt': ''.join(f'{path} {label}\n' for path, label in val),
        'classes.txt': ''.join(f'{name}\n' for name in classes),
    }
    if config is not None:
        files['config.py'] = own_config(
            config, source, destination, len(classes), classes
        )
    with making_folder(destination) as folder:
        for name, text in files.items():
            with replacing(osp.join(folder, name)) as file:
                file.write(text)
    return Split(len(classes), len(train), len(val), others)


def _videos(source, name):
    """Paths of a class's videos below the source, and the number of other files."""
    videos, others = [], 0
    for folder, _, files in os.walk(osp.join(source, name)):
        for file in files:
            if osp.splitext(file)[1].lower() in VIDEOS:
                videos.append(osp.relpath(osp.join(folder, file), source))
            else:
                others += 1
    return sorted(videos), others
