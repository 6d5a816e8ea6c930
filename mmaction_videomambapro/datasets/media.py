"""Find the videos or images in a folder, and recognise files that are not data."""

from __future__ import annotations

import os
import os.path as osp
import re
from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

VIDEOS = frozenset(
    {
        *('.mp4', '.avi', '.mkv', '.webm', '.mov', '.m4v', '.mpg', '.mpeg'),
        *('.wmv', '.flv', '.3gp', '.ts', '.mts', '.m2ts', '.ogv', '.gif'),
    }
)
IMAGES = frozenset(
    ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
)
MEDIA = re.compile(
    rf'({"|".join(map(re.escape, sorted(VIDEOS | IMAGES | {".npy"})))})$', re.IGNORECASE
)
IMAGE = re.compile(rf'({"|".join(map(re.escape, sorted(IMAGES)))})$', re.IGNORECASE)

# Files and folders that operating systems leave in data folders
_OF_SYSTEMS = {
    *('__macosx', '@eadir', 'thumbs.db', 'desktop.ini', '$recycle.bin', 'lost+found'),
    'system volume information',
}
_SPLIT = re.compile(
    r'(?:videos?|clips?|images?|data)?[\W\d_]*'
    r'(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:at(?:ion|e))?)?|dev|eval(?:uation)?)'
    r'|(?P<test>test(?:ing)?))'
    r'[\W\d_]*(?:set|split|videos?|clips?|images?|data)?[\W\d_]*',
    re.IGNORECASE,
)


class Found(NamedTuple):
    """The files in a folder.

    Attributes:
        files (list[str]): Paths relative to the folder, in alphabetical order.
        left_out (dict[str, list[str]]): Paths of all other files, by kind:
            ``'hidden'``, ``'broken link'``, or an extension such as ``'.txt'``.
    """

    files: list[str]
    left_out: dict[str, list[str]]


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not meant as data, such as ``.DS_Store``."""
    return name.startswith('.') or name.lower() in _OF_SYSTEMS


def split_of(name: str) -> str | None:
    """The split that a name such as ``Training_set`` means, or None.

    Splits are ``'train'``, ``'val'`` and ``'test'``.
    """
    match = _SPLIT.fullmatch(name)
    return match.lastgroup if match else None


def are_splits(splits: Collection[str | None]) -> bool:
    """Whether names, given their :func:`split_of`, are splits rather than classes."""
    return 'train' in splits and ('val' in splits or 'test' in splits)


def folders_in(folder: str) -> list[str]:
    """Names of the visible folders in a folder, in alphabetical order.

    Raises:
        OSError: If the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        return sorted(x.name for x in entries if not is_hidden(x.name) and x.is_dir())


def find_files(folder: str, endings: Collection[str]) -> Found:
    """Find files at any depth; links to folders are followed once each.

    Args:
        folder (str): The folder to search.
        endings (Collection[str]): Extensions in lower case, such as ``'.mp4'``.

    Raises:
        OSError: If a folder cannot be read.
    """
    files, left_out, seen, todo = [], defaultdict(list), set(), ['']
    while todo:
        below = todo.pop()
        place = osp.join(folder, below)
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            entries = sorted(entries, key=lambda entry: entry.name, reverse=True)
        for entry in entries:
            path = osp.join(below, entry.name)
            kind = _kind(entry, endings)
            if kind == 'folder':
                todo.append(path)
            elif kind == 'wanted':
                files.append(path)
            else:
                left_out[kind].append(path)
    return Found(sorted(files), {kind: sorted(x) for kind, x in left_out.items()})


def _kind(entry, endings):
    ending = osp.splitext(entry.name)[1].lower()
    if is_hidden(entry.name):
        return 'hidden'
    if entry.is_dir():
        return 'folder'
    if not entry.is_file():
        return 'broken link' if entry.is_symlink() else 'not a file'
    return 'wanted' if ending in endings else ending or 'without extension'
