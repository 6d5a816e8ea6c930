"""What tools/train.py and tools/test.py share: arguments, configs, clear refusals."""

from __future__ import annotations

import argparse
import errno
import os
import os.path as osp
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry.build_functions import build_from_cfg
from mmengine.runner import Runner

from ..datasets.feature_cache import check_same_weights
from ..datasets.samplers import MOST_SAMPLES
from ..errors import UsageError
from ..evaluation.evaluator import ScoresError
from ..literals import printable_lines
from .console import introduce, quiet_console
from .hooks.finite_loss_hook import FiniteLossHook
from .memory import keep_freed_memory
from .process import (
    LOCK,
    Terminated,
    ending_children,
    hold,
    is_main_process,
    reason_of,
)

# of a cosine and of one cycle, after which they turn round
LENGTHS = 'T_max', 'total_steps'

LISTS = 'VideoClsDataset', 'RawFrameClsDataset', 'ImageListDataset'
MOST_WORKERS = 64  # or four for each core
MOST_AT_ONCE = 2**16

# the user has to choose another path
WRONG_PATH = (
    FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError,
    PermissionError,
)  # fmt: skip


def run_tool(main: Callable[[], Any]) -> None:
    """Run ``main``; what the user or the machine has to change becomes one line.

    The exit code is 2, or 1 if a run that had begun stopped itself or was stopped by
    the machine, or that of the signal: 130 for Ctrl-C, 143 for SIGTERM. Processes that
    it started, such as data loaders', are ended.
    """
    keep_freed_memory()
    quiet_console()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):  # or a name that is not UTF-8 ends the tool
            stream.reconfigure(errors='backslashreplace')
    try:
        with ending_children(), refusing_configs():
            main()
    except UsageError as error:
        _end(error, error.exit_code)
    except Terminated as error:
        _end(f'ended by {signal.Signals(error.number).name}', 128 + error.number)
    except Exception as error:
        reason = reason_of(error)
        if reason is None:
            raise
        _end(reason, 2 if isinstance(error, WRONG_PATH) else 1)


def _end(reason, code):
    alone = isinstance(reason, ScoresError)
    if alone or int(os.environ.get('LOCAL_RANK', 0)) == 0:
        text = str(reason)
        if 'in DataLoader worker process' in text:  # and its traceback
            text = text.strip().split('\n')[-1].partition(': ')[2]
        text = printable_lines(text)  # names of files may hold what moves a cursor
        print(f'{osp.basename(sys.argv[0])}: error: {text}', file=sys.stderr)
    sys.exit(code)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of both tools; names and meaning are MMAction2's."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and metrics; '
        'default: work_dirs/ and the name of the config',
    )
    add_config_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes; see tools/dist_*.sh and tools/slurm_*.sh',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def add_config_options(
    parser: argparse.ArgumentParser,
    help: str = 'override keys of the config, e.g. train_dataloader.batch_size=8 or '
    'key="[(a,b),(c,d)]" without blanks',
) -> None:
    """``--cfg-options``, as in MMAction2's tools."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help=help
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the arguments of :func:`add_common_arguments`.

    Raises:
        UsageError: If the file, or one it inherits from, is missing or wrong.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    derive_ends(cfg)
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
    except UsageError as error:
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


def derive_ends(cfg: Config) -> None:
    """Drop what MMEngine derives from the length of the training anyway.

    Schedules that were written to end with it then do so after ``--cfg-options
    train_cfg.max_epochs=N`` as well.
    """
    for _, scheduler, last in _schedulers(cfg):
        if last is None:
            continue
        if scheduler.get('end') == last:
            del scheduler['end']
        length = scheduler.get('end', last) - scheduler.get('begin', 0)
        for name in LENGTHS:
            if scheduler.get(name) == length:
                del scheduler[name]


def check_schedules(cfg: Config) -> None:
    """Refuse schedules that do not fit the length of the training.

    Raises:
        UsageError: If one begins after the end, or a cosine would rise again.
    """
    for key, scheduler, last in _schedulers(cfg):
        if last is None:
            continue
        begin, unit = scheduler.get('begin', 0), 'epoch'
        if not scheduler.get('by_epoch', True):
            unit = 'iter'
        total = f'train_cfg.max_{unit}s={last}'
        name, _, i = key.rpartition('.')
        if begin >= last:
            shorter = f'{name}.{int(i) - 1}.end=N ' if i.isdigit() and int(i) else ''
            raise UsageError(
                f'{key} begins after {unit} {begin}, but there are only {total}: '
                f'shorten the warm-up, --cfg-options {shorter}{key}.begin=N'
            )
        length = min(scheduler.get('end', last), last) - begin
        for name in LENGTHS:
            if scheduler.get(name, length) < length:
                raise UsageError(
                    f'{key} ends after {unit} {begin + scheduler[name]} of {total}, '
                    f'and the value would turn round: leave {name} out of the config, '
                    f'and it follows, or set {key}.{name}={length} with --cfg-options'
                )


def _schedulers(cfg):
    """Key, config and length of the training, in its units, of all schedulers."""
    train_cfg = cfg.get('train_cfg') or {}
    todo = [('param_scheduler', cfg.get('param_scheduler'))]
    for key, node in todo:
        if isinstance(node, (list, tuple)):
            todo += [(f'{key}.{i}', child) for i, child in enumerate(node)]
        elif isinstance(node, dict) and 'type' not in node:  # of several optimizers
            todo += [(f'{key}.{name}', child) for name, child in node.items()]
        elif isinstance(node, dict):
            unit = 'epochs' if node.get('by_epoch', True) else 'iters'
            yield key, node, train_cfg.get(f'max_{unit}')


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
    caches = []
    for loader in dataloaders:
        _check_loader(loader, cfg.get(loader) or {})
        for key, dataset in _datasets(cfg.get(loader), loader):
            _check_dataset(key, dataset)
            if _type_name(dataset) == 'CachedFeatures':
                root = dataset.get('data_root') or ''
                caches.append(osp.join(root, dataset['ann_file']))
    check_same_weights(caches)


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


def limit_labels(cfg: Config, dataloaders: tuple[str, ...]) -> None:
    """Have lists checked against the classes of the head, as they are read.

    Args:
        cfg (Config): Of a recognizer, or of something without labels.
        dataloaders (tuple[str]): Whose datasets get ``num_classes``, unless they have.
    """
    model = cfg.get('model') or {}
    head = model.get('cls_head') or model.get('head') or {}
    if 'num_classes' not in head:
        return
    for loader in dataloaders:
        for _, dataset in _datasets(cfg.get(loader), loader):
            if _type_name(dataset) in LISTS and dataset.get('num_classes') is None:
                dataset['num_classes'] = head['num_classes']


def _type_name(config):
    kind = config.get('type')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


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
                f'{where}.{name} is {value!r}, expected a whole number from {least} '
                f'to {most}'
            )


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


def hold_work_dir(cfg: Config) -> None:
    """Make the work directory, and refuse one in which another training runs.

    All processes of one run share it; the first of them keeps it.

    Raises:
        UsageError: If it cannot be made, or written to.
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


def check_output(path: str, option: str) -> None:
    """Make sure that a file can be written before it is worked for.

    Args:
        path (str): The file; its folder is made if need be.
        option (str): What names it, for errors.

    Raises:
        UsageError: If it cannot.
    """
    folder = osp.dirname(osp.abspath(path))
    try:
        if osp.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f'{option} {path} cannot be written: {error.strerror}; choose another file'
        ) from error


def build_runner(cfg: Config) -> Runner:
    """MMEngine's runner, or the one that ``runner_type`` names."""
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    from mmaction.registry import RUNNERS

    return RUNNERS.build(cfg)


def train(runner: Runner) -> None:
    """Train, and stop at the first loss that is not finite, whatever the recipe."""
    if not any(isinstance(hook, FiniteLossHook) for hook in runner.hooks):
        runner.register_hook(FiniteLossHook())
    introduce(runner)
    runner.train()
