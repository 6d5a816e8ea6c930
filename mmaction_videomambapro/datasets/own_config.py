"""Write a config for the user's own lists that inherits from a recipe."""

from __future__ import annotations

import os.path as osp
import re
import tempfile
from collections.abc import Sequence

from mmengine.config import Config

from ..configs import dicts_in, read_config
from ..errors import UsageError
from ..files import replacing
from ..literals import python_literal

SPLITS = 'train', 'val', 'test'


def own_config(
    base: str, source: str, lists: str, classes: Sequence[str], test: str = 'val.txt'
) -> str:
    """Generate a config that adapts a base config to the user's lists and classes.

    Args:
        base (str): A config that reads videos with labels.
        source (str): Folder of the videos.
        lists (str): Folder that will hold ``train.txt`` and ``val.txt``.
        classes (Sequence[str]): Class names in label order.
        test (str): List of the test split. Defaults to ``'val.txt'``.

    Returns:
        str: The config, Python code.

    Raises:
        UsageError: If the base cannot be read or reads something else.
    """
    classes_at = _check_base(base)
    datasets = {
        split: dict(
            type='VideoClsDataset',
            ann_file=osp.join(osp.abspath(lists), name),
            data_prefix=dict(video=osp.abspath(source)),
            num_classes=len(classes),
            metainfo=dict(classes=list(classes)),
        )
        for split, name in zip(SPLITS, ('train.txt', 'val.txt', test))
    }
    loaders = {f'{split}_dataloader': dict(dataset=d) for split, d in datasets.items()}
    numbers = '\n'.join(f'{place} = {len(classes)}' for place in classes_at)
    text = f"""_base_ = {python_literal(osp.abspath(base))}

{numbers}

{Config(loaders).pretty_text}"""
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'config.py')
        with replacing(path) as file:
            file.write(text)
        cfg = read_config(path, f'a config that inherits from {base}', custom=False)
    for split, dataset in datasets.items():
        read = cfg[f'{split}_dataloader'].dataset
        if any(read.get(key) != value for key, value in dataset.items()):
            raise UsageError(f'{base}: its {split}_dataloader cannot be replaced')
    return text


def _check_base(base):
    """Refuse a base that cannot be adapted; return where it has numbers of classes."""
    cfg = read_config(base, custom=False)
    head = cfg.get('model', {}).get('cls_head')
    if not isinstance(head, dict) or 'num_classes' not in head:
        raise UsageError(
            f'config file {base} does not train a classifier: its model has no '
            'cls_head.num_classes; choose a recipe of configs/recognition, or the '
            "demo's"
        )
    for split in SPLITS:
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
        kind = str(dataset.get('type')).split('.')[-1]
        if kind not in ('VideoClsDataset', 'VideoDataset'):
            raise UsageError(
                f'config file {base} does not read videos with labels: '
                f'{split}_dataloader.dataset is of type {kind}; choose a recipe from '
                "configs/recognition whose datasets are VideoClsDataset, or the demo's"
            )
    blending = (cfg.model.get('data_preprocessor') or {}).get('blending')
    mixed = dicts_in(blending, '_base_.model.data_preprocessor.blending')
    places = ['_base_.model.cls_head', *(k for k, x in mixed if 'num_classes' in x)]
    return [re.sub(r'\.(\d+)', r'[\1]', f'{place}.num_classes') for place in places]
