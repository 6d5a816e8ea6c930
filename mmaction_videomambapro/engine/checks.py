"""What does not fit together, found before a training begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ..errors import UsageError


def check_blending(cfg: Config) -> None:
    """Make sure that labels are mixed of as many classes as the head has.

    Raises:
        UsageError: If a blending has another number; with the keys of all.
    """
    model = cfg.get('model') or {}
    classes = (model.get('cls_head') or {}).get('num_classes')
    preprocessor = model.get('data_preprocessor') or {}
    found = _classes(preprocessor.get('blending'), 'model.data_preprocessor.blending')
    wrong = {key: number for key, number in found if number != classes}
    if wrong and classes is not None:
        key, number = next(iter(wrong.items()))
        options = ' '.join(f'{key}={classes}' for key in wrong)
        raise UsageError(
            f'{key} is {number}, but model.cls_head.num_classes is {classes}: labels '
            f'would be mixed of other classes; --cfg-options {options}'
        )


def _classes(node: Any, key: str) -> Iterator[tuple[str, int]]:
    """Every ``num_classes`` below a config, with its key."""
    if isinstance(node, (list, tuple)):
        node = dict(enumerate(node))
    if isinstance(node, dict):
        for name, child in node.items():
            if name == 'num_classes':
                yield f'{key}.{name}', child
            else:
                yield from _classes(child, f'{key}.{name}')


def check_batches(runner: Runner) -> Runner:
    """Make sure that there is something to train on; gives the runner back.

    Raises:
        UsageError: If an epoch has no batch: ``drop_last`` leaves out the only one.
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
