"""From a folder with a folder of videos for each class to lists and a config."""

from __future__ import annotations

import os
import os.path as osp
import random
import shutil
import tempfile
from typing import NamedTuple

from .lists import BadLine, ListError

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
        FileExistsError: If the destination holds something.
    """
    if osp.isdir(destination) and os.listdir(destination):
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

    parent = osp.dirname(osp.abspath(destination))
    os.makedirs(parent, exist_ok=True)
    staging = tempfile.mkdtemp(dir=parent, prefix=f'.{osp.basename(destination)}')
    try:
        files = {
            'train.txt': ''.join(f'{path} {label}\n' for path, label in train),
            'val.txt': ''.join(f'{path} {label}\n' for path, label in val),
            'classes.txt': ''.join(f'{name}\n' for name in classes),
        }
        if config is not None:
            files['config.py'] = own_config(config, source, destination, len(classes))
        for name, text in files.items():
            with open(osp.join(staging, name), 'w', encoding='utf-8') as file:
                file.write(text)
        os.chmod(staging, 0o755)
        os.replace(staging, destination)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return Split(len(classes), len(train), len(val), others)


def own_config(base: str, source: str, lists: str, num_classes: int) -> str:
    """Text of a config that inherits another one, for lists of one's own."""
    loaders = ''.join(
        f"""{split}_dataloader = dict(
    dataset=dict(
        type='VideoClsDataset',
        ann_file={osp.join(osp.abspath(lists), name)!r},
        data_prefix=dict(video={osp.abspath(source)!r}),
        num_classes={num_classes},
    )
)
"""
        for split, name in dict(
            train='train.txt', val='val.txt', test='val.txt'
        ).items()
    )
    return f"""_base_ = {osp.abspath(base)!r}

model = dict(cls_head=dict(num_classes={num_classes}))
__preprocessor = _base_.model.data_preprocessor
for __blending in __preprocessor.get('blending', dict()).get('blending', dict()).get(
    'augments', ()
):
    __blending.num_classes = {num_classes}

{loaders}"""


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
