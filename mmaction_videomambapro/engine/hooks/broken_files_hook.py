"""Lists the broken files of a run in its work directory."""

from __future__ import annotations

import csv
import os
import os.path as osp

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log


@HOOKS.register_module()
class BrokenFilesHook(Hook):
    """Gives datasets a file for listing broken samples, and counts these at the end.

    For datasets with a ``broken_log``, such as ``VideoClsDataset``; others are left
    alone. The files are ``broken_train.csv``, ``broken_val.csv``, ``broken_test.csv``:
    index, path and reason.
    """

    def before_train(self, runner) -> None:
        self._begin(runner, 'train', runner.train_dataloader)

    def before_val(self, runner) -> None:
        self._begin(runner, 'val', runner.val_dataloader)

    def before_test(self, runner) -> None:
        self._begin(runner, 'test', runner.test_dataloader)

    def after_train(self, runner) -> None:
        self._end('train', runner.train_dataloader)

    def after_val(self, runner) -> None:
        self._end('val', runner.val_dataloader)

    def after_test(self, runner) -> None:
        self._end('test', runner.test_dataloader)

    def _begin(self, runner, split, loader):
        dataset = _inner(loader.dataset)
        if hasattr(dataset, 'broken_log') and dataset.broken_log is None:
            folder = osp.join(runner.work_dir, runner.timestamp)
            os.makedirs(folder, exist_ok=True)
            dataset.broken_log = osp.join(folder, f'broken_{split}.csv')

    def _end(self, split, loader):
        dataset = _inner(loader.dataset)
        log = getattr(dataset, 'broken_log', None)
        if log is not None and osp.exists(log):
            utf8 = dict(encoding='utf-8', errors='surrogateescape')
            with open(log, newline='', **utf8) as file:  # shared by all processes
                broken = {index for index, *_ in csv.reader(file)}
            print_log(
                f'{len(broken)} of {len(dataset)} {split} samples are broken: '
                f'see {log}',
                'current',
            )


def _inner(dataset):
    while hasattr(dataset, 'dataset'):  # such as RepeatDataset
        dataset = dataset.dataset
    return dataset
