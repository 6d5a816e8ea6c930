"""Finds settings that do not fit together before a run begins."""

from __future__ import annotations

import os
import os.path as osp

from mmengine.config import Config
from mmengine.runner import Runner

from ..configs import dicts_in
from ..datasets.feature_cache import check_same_weights
from ..datasets.samplers import MOST_SAMPLES
from ..errors import UsageError

LISTS = 'VideoClsDataset', 'RawFrameClsDataset', 'ImageListDataset'
MOST_WORKERS = 64  # or four per core
MOST_AT_ONCE = 2**16


def check_files(cfg: Config, dataloaders: tuple[str, ...]) -> None:
    """Make sure that what the run will read exists, before anything is built.

    Args:
        cfg (Config): The merged config.
        dataloaders (tuple[str]): Keys of the dataloaders to check.

    Raises:
        UsageError: For the first annotation file, video directory or checkpoint
            that does not exist, with the config key that names it.
    """
    if _is_missing(cfg.get('load_from')):
        raise UsageError(f'checkpoint {cfg.load_from} does not exist')
    caches = []
    for loader in dataloaders:
        _check_loader(loader, cfg.get(loader) or {})
        for key, dataset in _datasets(cfg, loader):
            _check_dataset(key, dataset)
            if _type_name(dataset) == 'CachedFeatures':
                root = dataset.get('data_root') or ''
                caches.append(osp.join(root, dataset['ann_file']))
    check_same_weights(caches)


def _check_loader(key, loader):
    """Refuse numbers that no machine can serve."""
    workers = max(MOST_WORKERS, 4 * (os.cpu_count() or 1))
    limits = {
        'num_workers': (loader, 0, workers),
        'batch_size': (loader, 1, MOST_AT_ONCE),
        'num_samples': (loader.get('sampler') or {}, 1, MOST_SAMPLES),
        'prefetch_factor': (loader, 1, workers),
    }
    for name, (node, least, most) in limits.items():
        value = node.get(name)
        if value is None:
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= most:
            where = key if node is loader else f'{key}.sampler'
            raise UsageError(
                f'{where}.{name} is {value!r}, expected an integer from {least} '
                f'to {most}'
            )


def _check_dataset(key: str, dataset: dict) -> None:
    root = dataset.get('data_root') or ''
    prefixes = dataset.get('data_prefix') or {}
    if not isinstance(prefixes, dict):
        raise UsageError(
            f'{key}.data_prefix is {prefixes!r}, expected a dictionary such as '
            f"dict(video='folder'); set {key}.data_prefix.video=folder"
        )
    places: list[tuple] = [
        ('annotation file', 'ann_file', dataset['ann_file'], osp.exists)
    ]
    places += [
        ('directory', f'data_prefix.{name}', prefix, osp.isdir)
        for name, prefix in prefixes.items()
        if isinstance(prefix, str)
    ]
    for what, name, place, exists in places:
        path = osp.join(root, place or '')
        if place and _is_local(place) and not exists(path):
            raise UsageError(
                f'{what} {path} ({key}.{name}) does not exist; '
                f'set {key}.{name}=... with --cfg-options'
            )


def check_initial_weights(model: dict | None) -> None:
    """Make sure that the files that initialise parts of a model exist.

    Args:
        model (dict, optional): Config of the model.

    Raises:
        UsageError: For the first missing file, with its config key.
    """
    for key, node in dicts_in(model, 'model'):
        if node.get('type') == 'Pretrained' and _is_missing(node.get('checkpoint')):
            raise UsageError(
                f'checkpoint {node["checkpoint"]} ({key}.checkpoint) does not exist; '
                f'set {key}.checkpoint=... with --cfg-options, or {key}=None'
            )


def limit_labels(cfg: Config, dataloaders: tuple[str, ...]) -> None:
    """Have lists checked against the number of classes of the head when they are read.

    Args:
        cfg (Config): Config of a recognizer, or of something without labels.
        dataloaders (tuple[str]): Keys of the dataloaders whose datasets get
            ``num_classes`` if they lack it.
    """
    model = cfg.get('model') or {}
    head = model.get('cls_head') or model.get('head') or {}
    if 'num_classes' not in head:
        return
    for loader in dataloaders:
        for _, dataset in _datasets(cfg, loader):
            if _type_name(dataset) in LISTS and dataset.get('num_classes') is None:
                dataset['num_classes'] = head['num_classes']


def _datasets(cfg: Config, loader: str) -> list[tuple[str, dict]]:
    """All dataset configs of a dataloader, wrapped ones too, with their keys."""
    found = dicts_in(cfg.get(loader), loader)
    return [(key, node) for key, node in found if 'ann_file' in node]


def _type_name(config):
    kind = config.get('type')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def _is_local(path: str) -> bool:
    return '://' not in path


def _is_missing(file: str | None) -> bool:
    """Whether it names a file on this machine that does not exist."""
    if not file or not _is_local(file):
        return False
    return not osp.isfile(osp.expanduser(file))


def check_blending(cfg: Config) -> None:
    """Make sure that labels are mixed over as many classes as the head has.

    Raises:
        UsageError: If a blending has a different number; lists the keys of all.
    """
    model = cfg.get('model') or {}
    classes = (model.get('cls_head') or {}).get('num_classes')
    preprocessor = model.get('data_preprocessor') or {}
    found = dicts_in(preprocessor.get('blending'), 'model.data_preprocessor.blending')
    wrong = {
        f'{key}.num_classes': node['num_classes']
        for key, node in found
        if node.get('num_classes', classes) != classes
    }
    if wrong and classes is not None:
        key, number = next(iter(wrong.items()))
        options = ' '.join(f'{key}={classes}' for key in wrong)
        raise UsageError(
            f'{key} is {number}, but model.cls_head.num_classes is {classes}: labels '
            f'would be mixed over other classes; --cfg-options {options}'
        )


def check_batches(runner: Runner) -> Runner:
    """Make sure that there is something to train on; return the runner.

    Raises:
        UsageError: If an epoch has no batch because ``drop_last`` drops the only one.
    """
    loader = runner.train_loop.dataloader
    if len(loader) == 0:
        samples, batch = len(loader.sampler), loader.batch_sampler.batch_size
        raise UsageError(
            f'an epoch has no batch: a process gets {samples} samples, fewer than '
            f'train_dataloader.batch_size={batch}, and drop_last leaves out what fills '
            'no batch; --cfg-options train_dataloader.drop_last=False, or a smaller '
            'batch_size'
        )
    return runner
