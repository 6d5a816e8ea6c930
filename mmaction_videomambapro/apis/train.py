"""Training, for tools/train.py and for cluster jobs."""

from __future__ import annotations

import argparse
import os
import os.path as osp
from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..engine.checkpoints import checkpoints, newest_of
from ..engine.checks import (
    check_batches,
    check_blending,
    check_files,
    check_initial_weights,
    limit_labels,
)
from ..engine.console import introduce
from ..engine.hooks import FiniteLossHook
from ..engine.process import LOCK, hold, is_main_process
from ..engine.schedule_lengths import check_schedules
from ..errors import UsageError
from .cli import add_run_arguments, build_runner, load_config

AMP = {
    'OptimWrapper': 'AmpOptimWrapper',
    'GuardedOptimWrapper': 'GuardedAmpOptimWrapper',
}


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the arguments of ``tools/train.py``, by default those of this process."""
    parser = argparse.ArgumentParser('train.py', description='Train a recognizer.')
    parser.add_argument('config', help='training config')
    add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint, the newest in this folder, or the newest '
        'in the work directory; if there is none yet, start as without it',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not validate while training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the total batch size over '
        'auto_scale_lr.base_batch_size of the config',
    )
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument(
        '--diff-rank-seed',
        action='store_true',
        help='give every process a seed of its own',
    )
    parser.add_argument(
        '--deterministic', action='store_true', help='deterministic CUDNN algorithms'
    )
    return parser.parse_args(arguments)


def training_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the arguments.

    Args:
        args (Namespace): From :func:`parse_args`.

    Raises:
        UsageError: If the config, or an argument, is wrong.
    """
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.resume:
        cfg.resume = 'auto' if args.resume == 'auto' else True
        if args.resume != 'auto':
            cfg.load_from = newest_of(args.resume)
    if args.amp:
        _use_amp(cfg.optim_wrapper, args.amp)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UsageError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) '
                f'in {args.config}'
            )
        cfg.auto_scale_lr.enable = True
    check_schedules(cfg)
    randomness = {'seed': None, **(cfg.get('randomness') or {})}
    if args.seed is not None:
        randomness['seed'] = args.seed
    for flag in ('diff_rank_seed', 'deterministic'):
        if getattr(args, flag):
            randomness[flag] = True
    cfg.randomness = randomness
    return cfg


def _use_amp(optim_wrapper, dtype):
    """Turn an OptimWrapper config into a mixed-precision one."""
    name = optim_wrapper.get('type', 'OptimWrapper')
    name = getattr(name, '__name__', name)
    if name not in (*AMP, *AMP.values()):
        raise UsageError(f'--amp cannot change an optim_wrapper of type {name}')
    optim_wrapper.type = AMP.get(name, name)
    if dtype == 'bf16':  # it has the range of float32, so no scaling is needed
        optim_wrapper.update(dtype='bfloat16', loss_scale=dict(enabled=False))
    else:
        optim_wrapper.update(dtype='float16', loss_scale='dynamic')


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the arguments say.

    Raises:
        UsageError: If something is missing, or does not fit together.
    """
    # gradients fade to denormal numbers, with which x86 is slow; before anything else,
    # because only threads that start later inherit it
    torch.set_flush_denormal(True)
    cfg = training_config(parse_args(arguments))
    check_blending(cfg)
    validate = ('val_dataloader',) if cfg.get('val_cfg') else ()
    check_initial_weights(cfg.get('model'))
    needed = cfg.copy()
    if cfg.get('resume') == 'auto' and checkpoints(cfg.work_dir):
        needed.load_from = None
    loaders = ('train_dataloader', *validate)
    check_files(needed, loaders)
    limit_labels(cfg, loaders)
    hold_work_dir(cfg)
    train(check_batches(build_runner(cfg)))


def hold_work_dir(cfg: Config) -> None:
    """Create the work directory, and refuse one in which another training runs.

    All processes of a run share it; the first of them holds the lock.

    Raises:
        UsageError: If it cannot be created or written to.
        InUseError: If another training runs in it.
    """
    if not is_main_process():
        return
    try:
        os.makedirs(cfg.work_dir, exist_ok=True)
        hold(osp.join(cfg.work_dir, LOCK), '--work-dir')
    except OSError as error:
        raise UsageError(
            f'the work directory {cfg.work_dir} cannot be written to: '
            f'{error.strerror}; choose another one with --work-dir'
        ) from error


def train(runner: Runner) -> None:
    """Train, and stop at the first loss that is not finite, whatever the recipe."""
    if not any(isinstance(hook, FiniteLossHook) for hook in runner.hooks):
        runner.register_hook(FiniteLossHook())
    introduce(runner)
    runner.train()
