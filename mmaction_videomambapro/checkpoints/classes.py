"""Names of the classes that checkpoints and configs are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..datasets.classes import is_published, read_classes
from ..datasets.rows import ListError
from .state_dicts import printable


def class_names(content: Any) -> list[str] | None:
    """Names of the classes that a checkpoint was trained for, if it has them.

    MMEngine saves the ``metainfo`` of the training data.
    """
    return names_in(_at(content, 'meta', 'dataset_meta'))


def names_in(metainfo: Any) -> list[str] | None:
    """Class names in the ``metainfo`` of a dataset, if there are any.

    It may come from a checkpoint: no file that it names is read.
    """
    names = _at(metainfo, 'classes')
    if is_published(names):  # MMAction2's own datasets keep the word
        return read_classes(names)
    if not isinstance(names, (list, tuple)) or not names:
        return None
    return list(names) if all(isinstance(x, str) for x in names) else None


def classes_of(meta: Any, cfg: Any, num_classes: int | None = None) -> list[str] | None:
    """Names of a model's classes: those in its checkpoint, else those of its data.

    Names of another number of classes are left out, as are those that cannot be read.
    If no others are found, the log says why.

    Args:
        meta (Any): ``meta`` of the checkpoint; anything that is not a mapping has none.
        cfg (Config): The config, whose data for tests, validation and training is
            asked in this order.
        num_classes (int, optional): Number of classes. Defaults to None (that of the
            config's head).

    Returns:
        list[str], optional: Names in label order.
    """
    if num_classes is None:
        model = _at(cfg, 'model')
        head = _at(model, 'cls_head') or _at(model, 'head')
        num_classes = _at(head, 'num_classes')
    reasons = []
    for source, read in _sources(meta, cfg):
        try:
            names = read()
        except (ListError, OSError) as error:
            reasons.append(f'{source}: {error}')
            continue
        if names and num_classes in (None, len(names)):
            return names
        if names:
            reasons.append(f'{source} has {len(names)}, for {num_classes} classes')
    if reasons:
        text = '; '.join(dict.fromkeys(reasons))
        print_log(f'No class names fit the model: {text}', 'current')
    return None


def different_classes(there: list[str], here: list[str]) -> str:
    """Where the class lists of checkpoint and data differ."""
    if len(there) != len(here):
        return f'{len(there)} classes in the checkpoint, {len(here)} in the data'
    differing = [i for i, (a, b) in enumerate(zip(there, here)) if a != b]
    first = differing[0]
    return (
        f'class {first} is {printable(there[first])} in the checkpoint and '
        f'{printable(here[first])} in the data; {len(differing)} of {len(here)} differ'
    )


def _sources(meta: Any, cfg: Any) -> Iterator[tuple[str, Callable]]:
    """Where names may be, and functions that return them."""
    yield 'the checkpoint', partial(class_names, dict(meta=meta))
    for split in ('test', 'val', 'train'):
        key = f'{split}_dataloader.dataset'
        node = _at(cfg, *key.split('.'))
        while node is not None:  # datasets may be wrapped
            yield f'{key}.metainfo', partial(_names_of_data, _at(node, 'metainfo'))
            key, node = f'{key}.dataset', _at(node, 'dataset')


def _names_of_data(metainfo: Any) -> list[str] | None:
    names = _at(metainfo, 'classes')
    return read_classes(names) if isinstance(names, str) else names_in(metainfo)


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, (Mapping, Config)) else None
    return node
