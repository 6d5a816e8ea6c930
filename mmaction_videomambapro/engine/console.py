"""What of a run's log is shown: a few lines at the start, and how it goes."""

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

# of MMEngine and MMAction2, for the log file only
_FOR_THE_FILE = re.compile(
    r'\s*-+\nSystem environment|Config:\n|Hooks will be executed|paramwise_options'
    r'|Param groups|Distributed training is not used|Exp name:|"FileClient" will be'
    r'|"HardDiskBackend" is|Checkpoints will be saved to|LR is set based on'
)


class ConsoleFilter(logging.Filter):
    """Keeps tables and dumps, which fill pages, to the log file."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _FOR_THE_FILE.match(str(record.msg))


def quiet_console() -> None:
    """Let the loggers of MMEngine show on the console what is worth reading.

    The log file has everything. What decoders print of broken files themselves is
    left out too: the datasets give the reason.
    """
    for name in ('OPENCV_FFMPEG_LOGLEVEL', 'OPENCV_AVFORMAT_LOGLEVEL'):
        os.environ.setdefault(name, '-8')
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    logging.raiseExceptions = False  # a log that cannot be written ends no run

    if hasattr(MMLogger.__init__, 'original'):
        return
    original = MMLogger.__init__

    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.handlers[0].addFilter(ConsoleFilter())

    __init__.original = original
    MMLogger.__init__ = __init__


def introduce(runner: Runner) -> None:
    """Log what will be trained, on what, and where it goes, in three lines."""
    cfg = runner.cfg
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    parts = [type(model).__name__]
    for name in ('backbone', 'cls_head', 'head', 'predictor'):
        if getattr(model, name, None) is not None:
            parts.append(type(getattr(model, name)).__name__)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    runner.logger.info(
        f'Training {", ".join(parts)}: {millions:.2f} M parameters, on {get_device()}'
        + (f', {runner.world_size} processes' if runner.world_size > 1 else '')
    )
    loader, length = cfg.train_dataloader, cfg.train_cfg
    while 'ann_file' not in loader and 'dataset' in loader:
        loader = loader['dataset']
    source = loader.get('ann_file') or loader.get('type')
    for unit in ('epochs', 'iters'):
        if f'max_{unit}' in length:
            source = f'{source}, {length[f"max_{unit}"]} {unit}'
    batch = cfg.train_dataloader.get('batch_size')
    runner.logger.info(f'Data: {source}, {batch} samples in a batch')
    runner.logger.info(
        f'Config: {cfg.filename}, work directory: {runner.work_dir}, whole log: '
        f'{osp.join(runner._log_dir, runner.timestamp)}.log'
    )
