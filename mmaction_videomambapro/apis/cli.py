"""What all tools share: arguments, configs, one-line error messages."""

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

from ..configs import merge_options, read_config
from ..engine.console import quiet_console
from ..engine.memory import keep_freed_memory
from ..engine.process import Terminated, ending_children, reason_of
from ..engine.schedule_lengths import derive_ends
from ..errors import UsageError
from ..evaluation.evaluator import ScoresError
from ..literals import printable_lines

# the user has to choose another path
WRONG_PATH = (
    FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError,
    PermissionError,
)  # fmt: skip


def run_tool(main: Callable[[], Any]) -> None:
    """Run ``main``; report what the user or the machine has to change in one line.

    The exit code is 2, or 1 if a run that had begun stopped itself or was stopped by
    the machine, or the signal's: 130 for Ctrl-C, 143 for SIGTERM. Processes that it
    started, such as data loaders, are ended.
    """
    keep_freed_memory()
    quiet_console()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):  # else non-UTF-8 names end the tool
            stream.reconfigure(errors='backslashreplace')
    try:
        with ending_children(), refusing_configs():
            main()
    except UsageError as error:
        _end(error, error.exit_code)
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
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
        text = printable_lines(text)  # file names may contain cursor controls
        print(f'{osp.basename(sys.argv[0])}: error: {text}', file=sys.stderr)
    sys.exit(code)


@contextmanager
def refusing_configs() -> Iterator[None]:
    """Turn errors that a class raises about its config into a :class:`UsageError`."""
    try:
        yield
    except UsageError as error:
        if 'Traceback' not in str(error):
            raise
        # from a data loader's process
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


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turn the error of an import into the extra of this package that is missing."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"this needs pip install 'mmaction_videomambapro[{extra}]' ({error})"
        ) from error


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of training and testing; names and meaning are those of MMAction2."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and metrics; '
        'default: work_dirs/ and the name of the config',
    )
    add_config_options(parser)
    parser.add_argument(
        '--amp',
        nargs='?',
        const='bf16',
        choices=['bf16', 'fp16'],
        help='automatic mixed precision, default: bf16; on GPUs and CPUs',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes; see tools/dist_*.sh and tools/slurm_*.sh',
    )
    # torch.distributed.launch passes it, and sets LOCAL_RANK as well
    parser.add_argument('--local_rank', '--local-rank', help=argparse.SUPPRESS)


def add_config_options(
    parser: argparse.ArgumentParser,
    help: str = 'override keys of the config, e.g. train_dataloader.batch_size=8 or '
    'key="[(a,b),(c,d)]" without blanks',
) -> None:
    """``--cfg-options``, as in MMAction2's tools."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help=help
    )


def add_classes(
    parser: argparse.ArgumentParser,
    default: str = 'those of the checkpoint or the config',
) -> None:
    """``--classes``, which names the classes of a model or a result."""
    parser.add_argument(
        '--classes',
        help='class names in label order: a file, or a published dataset such as '
        f'kinetics400; default: {default}',
    )


def load_config(
    path: str | os.PathLike,
    options: dict[str, Any] | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read the config of a run and apply the command line to it.

    Args:
        path (str | PathLike): The config.
        options (dict, optional): From ``--cfg-options``. Defaults to None.
        work_dir (str, optional): Its ``work_dir``. Defaults to None: the config's own,
            or ``work_dirs/`` and the config's name.
        launcher (str): What started the processes. Defaults to 'none'.

    Raises:
        UsageError: If the file, or one it inherits from, is missing or wrong, or the
            options do not fit.
    """
    cfg = read_config(path)
    derive_ends(cfg)
    if options:
        merge_options(cfg, options)
    cfg.launcher = launcher
    name = osp.splitext(osp.basename(path))[0]
    cfg.work_dir = work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    return cfg


def check_output(path: str, option: str) -> None:
    """Make sure that a file can be written before any work is done for it.

    Args:
        path (str): The file; its folder is created if necessary.
        option (str): The option that names it, for errors.

    Raises:
        UsageError: If it cannot be written.
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
