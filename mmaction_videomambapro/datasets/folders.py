"""From a folder with a folder of videos for each class to lists and a config."""

from __future__ import annotations

import os
import os.path as osp
import random
import tempfile
from typing import NamedTuple

from mmengine.config import Config

from ..files import is_empty, making_folder, replacing
from ..literals import python_literal
from .lists import BadLine, ListError

VIDEOS = {
    *('.mp4', '.avi', '.mkv', '.webm', '.mov', '.m4v'),
    *('.mpg', '.mpeg', '.wmv', '.flv', '.3gp', '.ts'),
}
SPLITS = 'train', 'val', 'test'


class BaseConfigError(ValueError):
    """A config that lists of videos do not fit, said in one sentence."""


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
        files['config.py'] = own_config(config, source, destination, len(classes))
    with making_folder(destination) as folder:
        for name, text in files.items():
            with replacing(osp.join(folder, name)) as file:
                file.write(text)
    return Split(len(classes), len(train), len(val), others)


def own_config(base: str, source: str, lists: str, num_classes: int) -> str:
    """Text of a config that inherits another one, for lists of one's own.

    Args:
        base (str): A config that reads videos with labels.
        source (str): Folder of the videos.
        lists (str): Folder that will hold ``train.txt`` and ``val.txt``.
        num_classes (int): How many labels there are.

    Raises:
        BaseConfigError: If the base cannot be read or reads something else.
    """
    _check_base(base)
    datasets = {
        split: dict(
            type='VideoClsDataset',
            ann_file=osp.join(osp.abspath(lists), name),
            data_prefix=dict(video=osp.abspath(source)),
            num_classes=num_classes,
        )
        for split, name in zip(SPLITS, ('train.txt', 'val.txt', 'val.txt'))
    }
    loaders = {f'{split}_dataloader': dict(dataset=d) for split, d in datasets.items()}
    text = f"""_base_ = {python_literal(osp.abspath(base))}

model = dict(cls_head=dict(num_classes={num_classes}))
__preprocessor = _base_.model.data_preprocessor
for __blending in __preprocessor.get('blending', dict()).get('blending', dict()).get(
    'augments', ()
):
    __blending.num_classes = {num_classes}

{Config(loaders).pretty_text}"""
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'config.py')
        with replacing(path) as file:
            file.write(text)
        cfg = _read(path, f'a config that inherits from {base}')
    for split, dataset in datasets.items():
        read = cfg[f'{split}_dataloader'].dataset
        if any(read.get(key) != value for key, value in dataset.items()):
            raise BaseConfigError(f'{base}: its {split}_dataloader cannot be replaced')
    return text


def _check_base(base):
    cfg = _read(base, f'config file {base}')
    head = cfg.get('model', {}).get('cls_head')
    if not isinstance(head, dict) or 'num_classes' not in head:
        raise BaseConfigError(
            f'config file {base} trains no classifier: its model has no '
            'cls_head.num_classes; choose a recipe of configs/recognition, or the '
            "demo's"
        )
    for split in SPLITS:
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
        kind = str(dataset.get('type')).split('.')[-1]
        if kind not in ('VideoClsDataset', 'VideoDataset'):
            raise BaseConfigError(
                f'config file {base} does not read videos with labels: '
                f'{split}_dataloader.dataset is of type {kind}; choose a recipe of '
                "configs/recognition whose datasets are VideoClsDataset, or the demo's"
            )


def _read(path, name):
    try:
        return Config.fromfile(path, import_custom_modules=False)
    except Exception as error:  # a config is a program: anything can go wrong in it
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise BaseConfigError(f'{name} cannot be read: {reason}') from error


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
