"""What a run shows of its log: a few lines at the start, then its progress."""

from __future__ import annotations

import logging
import os
import os.path as osp
import re

import cv2
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ..compat.helpers import replace

PARTS = 'backbone', 'cls_head', 'head', 'predictor'

# tables and dumps of MMEngine and MMAction2 that would fill pages of the console
_FOR_THE_FILE = re.compile(
    r'\s*-+\nSystem environment|Config:\n|Hooks will be executed|paramwise_options'
    r'|Param groups|Distributed training is not used|Exp name:|"FileClient" will be'
    r'|"HardDiskBackend" is|Checkpoints will be saved to|LR is set based on'
)


def quiet_console() -> None:
    """Let MMEngine's loggers show only what is worth reading on the console.

    The log file has everything. What decoders themselves print about broken files is
    left out too: the datasets give the reason.
    """
    for name in ('OPENCV_FFMPEG_LOGLEVEL', 'OPENCV_AVFORMAT_LOGLEVEL'):
        os.environ.setdefault(name, '-8')
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    logging.raiseExceptions = False  # a log that cannot be written must not end the run

    if hasattr(MMLogger.__init__, '__wrapped__'):  # it was called before
        return

    @replace(MMLogger, '__init__')
    def __init__(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.handlers[0].addFilter(
            lambda record: not _FOR_THE_FILE.match(str(record.msg))
        )


def introduce(runner: Runner) -> None:
    """Log in three lines what will be trained, on what, and where results go."""
    for line in (_about_model(runner), _about_data(runner.cfg)):
        runner.logger.info(line)
    runner.logger.info(
        f'Config: {runner.cfg.filename}, work directory: {runner.work_dir}, full log: '
        f'{osp.join(runner._log_dir, runner.timestamp)}.log'
    )


def _about_model(runner):
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    where = f'on {get_device()}'
    if runner.world_size > 1:
        where += f', {runner.world_size} processes'
    if not isinstance(model, nn.Module):  # FlexibleRunner builds it later
        return f'Training {where}'
    parts = [getattr(model, name, None) for name in PARTS]
    names = [type(part).__name__ for part in (model, *parts) if part is not None]
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    return f'Training {", ".join(names)}: {millions:.2f} M parameters, {where}'


def _about_data(cfg):
    node = cfg.train_dataloader
    while 'ann_file' not in node and 'dataset' in node:
        node = node['dataset']
    source = node.get('ann_file') or node.get('type')
    batch = cfg.train_dataloader.get('batch_size')
    lengths = [
        f', {cfg.train_cfg[f"max_{unit}"]} {unit}'
        for unit in ('epochs', 'iters')
        if f'max_{unit}' in cfg.train_cfg
    ]
    return f'Data: {source}{"".join(lengths)}, {batch} samples in a batch'
