"""What tools/train.py and tools/test.py share: arguments, configs, clear refusals."""

from __future__ import annotations

import argparse
import os
import os.path as osp
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry.build_functions import build_from_cfg
from mmengine.runner import Runner

from ..datasets.feature_cache import FeatureCacheError
from ..datasets.lists import ListError
from ..safe_load import CheckpointError
from .hooks.probe_choice_hook import ProbeChoiceError
from .memory import keep_freed_memory
from .optimizers import TrainingStopped


class UsageError(Exception):
    """Something the user has to change, said in one sentence."""


REFUSALS = UsageError, CheckpointError, FeatureCacheError, ListError, ProbeChoiceError


def run_tool(main: Callable[[], Any]) -> None:
    """Run ``main``; what the user has to change becomes one line.

    The exit code is 2, or 1 if a training that had begun stopped itself.
    """
    keep_freed_memory()
    try:
        with refusing_configs():
            main()
    except (*REFUSALS, TrainingStopped) as error:
        if int(os.environ.get('LOCAL_RANK', 0)) == 0:
            print(f'{osp.basename(sys.argv[0])}: error: {error}', file=sys.stderr)
        sys.exit(1 if isinstance(error, TrainingStopped) else 2)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of both tools; names and meaning are MMAction2's."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and metrics; '
        'default: work_dirs/ and the name of the config',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override keys of the config, e.g. train_dataloader.batch_size=8 or '
        'key="[(a,b),(c,d)]" without blanks',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes; see tools/dist_*.sh and tools/slurm_*.sh',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the arguments of :func:`add_common_arguments`.

    Raises:
        UsageError: If the file, or one it inherits from, is missing or wrong.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    if args.cfg_options:
        merge_options(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    return cfg


def merge_options(cfg: Config, options: dict[str, Any]) -> None:
    """``cfg.merge_from_dict``, whose failures become a :class:`UsageError`."""
    try:
        cfg.merge_from_dict(options)
    except Exception as error:  # keys that lead nowhere fail in many ways
        reason = ' '.join(str(error).split())
        shown = ' '.join(f'{key}={value}' for key, value in options.items())
        raise UsageError(f'--cfg-options {shown} does not fit: {reason}') from error


@contextmanager
def refusing_configs() -> Iterator[None]:
    """What a class refuses of its config becomes a :class:`UsageError`."""
    try:
        yield
    except REFUSALS as error:
        if 'Traceback' not in str(error):
            raise
        # of a data loader's process
        *_, last = str(error).strip().splitlines()
        raise UsageError(last.partition(': ')[2]) from error
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        built = [
            frame.f_locals
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if frame.f_code is build_from_cfg.__code__
        ]
        if not built:
            raise
        kind = built[-1].get('obj_type', '')
        kind = getattr(kind, '__name__', kind)
        reason = ' '.join(str(error.args[0] if error.args else error).split())
        raise UsageError(f'the config cannot be built: {kind}: {reason}') from error


def read_config(path: str | os.PathLike) -> Config:
    """``Config.fromfile``, whose failures become a :class:`UsageError`."""
    if not osp.isfile(path):
        raise UsageError(f'config file {path} does not exist')
    try:
        return Config.fromfile(path)
    except Exception as e:  # a config is a program: anything can go wrong in it
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())
        raise UsageError(f'config file {path} can not be read: {reason}') from e


def check_files(cfg: Config, dataloaders: tuple[str, ...]) -> None:
    """Make sure that what the run will read is there, before anything is built.

    Args:
        cfg (Config): The merged config.
        dataloaders (tuple[str]): Its dataloaders to look at.

    Raises:
        UsageError: For the first annotation file, video directory or checkpoint
            that does not exist, with the config key that names it.
    """
    checkpoint = cfg.get('load_from')
    local = checkpoint and _is_local(checkpoint)
    if local and not osp.isfile(osp.expanduser(checkpoint)):
        raise UsageError(f'checkpoint {checkpoint} does not exist')
    for loader in dataloaders:
        for key, dataset in _datasets(cfg.get(loader), loader):
            _check_dataset(key, dataset)


def check_initial_weights(node: Any, key: str = 'model') -> None:
    """Make sure that files are there which parts of a model are initialised with.

    Args:
        node (Any): Config of the model.
        key (str): Its key. Defaults to 'model'.

    Raises:
        UsageError: For the first that does not exist, with the config key.
    """
    if isinstance(node, (list, tuple)):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    checkpoint = node.get('checkpoint')
    local = checkpoint and node.get('type') == 'Pretrained' and _is_local(checkpoint)
    if local and not osp.isfile(osp.expanduser(checkpoint)):
        raise UsageError(
            f'checkpoint {checkpoint} ({key}.checkpoint) does not exist; '
            f'set {key}.checkpoint=... with --cfg-options, or {key}=None'
        )
    for name, child in node.items():
        check_initial_weights(child, f'{key}.{name}')


def _datasets(node: Any, key: str) -> Iterator[tuple[str, dict]]:
    """All dataset configs below ``node``, wrapped ones too, with their keys."""
    if isinstance(node, dict):
        if 'ann_file' in node:
            yield key, node
        for name, child in node.items():
            yield from _datasets(child, f'{key}.{name}')
    elif isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _datasets(child, f'{key}.{i}')


def _check_dataset(key: str, dataset: dict) -> None:
    root = dataset.get('data_root') or ''
    ann_file = dataset['ann_file']
    if ann_file and _is_local(ann_file):
        path = osp.join(root, ann_file)
        if not osp.exists(path):
            raise UsageError(
                f'annotation file {path} ({key}.ann_file) does not exist; '
                f'set {key}.ann_file=... with --cfg-options'
            )
    prefixes = dataset.get('data_prefix') or {}
    if not isinstance(prefixes, dict):
        raise UsageError(
            f'{key}.data_prefix is {prefixes!r}, expected a dictionary such as '
            f"dict(video='folder'); set {key}.data_prefix.video=folder"
        )
    for name, prefix in prefixes.items():
        if isinstance(prefix, str) and prefix and _is_local(prefix):
            path = osp.join(root, prefix)
            if not osp.isdir(path):
                raise UsageError(
                    f'directory {path} ({key}.data_prefix.{name}) does not exist; '
                    f'set {key}.data_prefix.{name}=... with --cfg-options'
                )


def _is_local(path: str) -> bool:
    return '://' not in path


def build_runner(cfg: Config) -> Runner:
    """MMEngine's runner, or the one that ``runner_type`` names."""
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    from mmaction.registry import RUNNERS

    return RUNNERS.build(cfg)
