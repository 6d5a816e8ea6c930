"""Checkpoints in a work directory: lists them, checks them, finds the newest."""

from __future__ import annotations

import logging
import os
import os.path as osp
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.dist import all_reduce, broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from torch.nn.parallel import DistributedDataParallel

from ..files import replacing
from ..safe_load import CheckpointError, safe_load

NAME = re.compile(r'(?!best_|\.)(.*?)(\d+)\.pth')  # of CheckpointHook, except the best
LAST = 'last_checkpoint'
DAMAGED = 'it is damaged or truncated'
NOT_RESUMABLE = 'it has weights, but not the state of a training'


class _File(NamedTuple):
    path: str
    kind: str
    number: int
    time: int


def checkpoints(folder: str | os.PathLike) -> list[str]:
    """List what ``CheckpointHook`` saved in a folder, newest first, complete or not.

    The one that ``last_checkpoint`` names precedes all that are not later in number and
    time: a folder may hold those of an earlier run, and copies lose their times.

    Args:
        folder (str | PathLike): The work directory.

    Returns:
        list[str]: Paths. ``best_*.pth`` and published files are left out.
    """
    files = sorted(_files(folder), key=lambda f: (f.time, f.number), reverse=True)
    last = _named_last(folder)
    if last is None:
        return [f.path for f in files]
    found = [f for f in files if osp.abspath(f.path) == osp.abspath(last)]
    if not found:  # in another folder, or with a custom name
        return [last, *(f.path for f in files)]
    named = found[0]
    files.remove(named)
    before = [f for f in files if f.kind == named.kind and f.number < named.number]
    before.sort(key=lambda f: f.number, reverse=True)
    others = [f for f in files if f not in before]
    later = [f for f in others if f.time > named.time]
    others = [f for f in others if f not in later]
    return [f.path for f in (*later, named, *before, *others)]


def _files(folder) -> Iterator[_File]:
    with suppress(OSError):
        for entry in os.scandir(folder):
            match = NAME.fullmatch(entry.name)
            if match and entry.is_file():
                time = entry.stat().st_mtime_ns
                yield _File(entry.path, match[1], int(match[2]), time)


def _named_last(folder) -> str | None:
    """What ``last_checkpoint`` names, looked up in its own folder if that was moved."""
    try:
        file = osp.join(folder, LAST)
        name = os.fsdecode(Path(file).read_bytes()[:4096]) if osp.isfile(file) else ''
    except OSError:
        return None
    name = name.strip()
    for path in (osp.join(folder, osp.basename(name)), osp.join(folder, name), name):
        if osp.isfile(path) or _is_of_deepspeed(path):
            return path
    return None


def _is_of_deepspeed(path: str) -> bool:
    """Whether it is a checkpoint of DeepSpeed, which saves folders."""
    return path.endswith('.pth') and osp.isdir(path) and bool(os.listdir(path))


def newest_checkpoint(*folders: str | os.PathLike) -> str | None:
    """Find the newest complete checkpoint that can be resumed from.

    Skipped checkpoints are logged with the reason.

    Args:
        *folders (str | PathLike): Folders to search, in this order.

    Returns:
        str | None: Its path, or None if there are no checkpoints, not even damaged.

    Raises:
        CheckpointError: If there are checkpoints, but all are damaged.
    """
    damaged = []
    for path in [path for folder in folders for path in checkpoints(folder)]:
        if osp.isdir(path):  # DeepSpeed checks it itself
            return path
        fault = _fault(path)
        if fault is None:
            return path
        print_log(f'Passed over {path}: {fault}', 'current', logging.WARNING)
        if fault is not NOT_RESUMABLE:
            damaged.append(osp.basename(path))
    if damaged:
        raise CheckpointError(
            f'{folders[0]} has no complete checkpoint: {", ".join(damaged[:5])} '
            'cannot be read. Restore one of them, or remove them to start again'
        )
    return None


def newest_of(path: str) -> str:
    """Return a checkpoint, or the newest one in a folder.

    Args:
        path (str): File, URL or work directory.

    Raises:
        CheckpointError: If a folder has no complete checkpoint.
    """
    if not osp.isdir(path) or _is_of_deepspeed(path):
        return path
    newest = newest_checkpoint(path)
    if newest is None:
        raise CheckpointError(f'{path} is a folder without checkpoints')
    return newest


def _fault(path) -> str | None:
    """Why training cannot be resumed from a file, or None."""
    try:
        if zipfile.is_zipfile(path):  # PyTorch does not verify checksums
            with zipfile.ZipFile(path) as archive:
                if archive.testzip():
                    return DAMAGED
        return None if is_resumable(safe_load(path, 'cpu')) else NOT_RESUMABLE
    except CheckpointError as error:
        return str(error)
    except Exception:  # zipfile and torch raise errors of all kinds
        return DAMAGED


def is_resumable(content: object) -> bool:
    """Whether a checkpoint contains what MMEngine needs to resume."""
    if not isinstance(content, dict):
        return False
    meta = content.get('meta')
    return (
        isinstance(content.get('state_dict'), dict)
        and isinstance(content.get('message_hub'), dict)
        and isinstance(meta, dict)
        and all(isinstance(meta.get(key), int) for key in ('epoch', 'iter'))
    )


def choose_start(runner, load_from: Callable[[], str | None]) -> None:
    """Decide what a runner that resumes automatically starts from.

    The main process decides for all.

    Args:
        runner (Runner): Its ``_resume`` and ``_load_from`` are set.
        load_from (Callable): Returns what to load if there is nothing to resume.

    Raises:
        CheckpointError: If there are checkpoints, but all are damaged.
    """
    chosen: list[str | None] = [None, None, None]
    if is_main_process():
        try:
            name = osp.basename(osp.abspath(runner.work_dir))
            others = [
                osp.join(hook.out_dir, name)
                for hook in runner.hooks
                if isinstance(hook, CheckpointHook) and hook.out_dir
            ]
            newest = newest_checkpoint(runner.work_dir, *others)
            chosen = [newest, None if newest else load_from(), None]
        except CheckpointError as error:
            chosen[2] = str(error)
    broadcast_object_list(chosen)
    newest, start, fault = chosen
    if fault:
        raise CheckpointError(fault)
    runner._resume, runner._load_from = newest is not None, newest or start
    if newest:
        runner.logger.info(f'Resuming from {newest}.')
    else:
        begin = f'load_from={start!r}' if start else 'new weights'
        runner.logger.warning(
            f'{runner.work_dir} has nothing to resume: starting from {begin}.'
        )


def save_checkpoint(hook: CheckpointHook, runner, step: int, meta: dict) -> None:
    """Like ``CheckpointHook``'s, but removes the oldest only once the newest is safe.

    Args:
        hook (CheckpointHook): The hook that saves.
        runner (Runner): Its runner.
        step (int): Epoch or iteration, for the name.
        meta (dict): The epoch and iteration that the checkpoint records.
    """
    outdated = []
    if hook.max_keep_ckpts > 0:
        kept = [*(k for k in hook.keep_ckpt_ids if k != step), step]
        outdated = kept[: -hook.max_keep_ckpts]
        # includes outdated ones: a resumed run removes them if this one dies first
        runner.message_hub.update_info('keep_ckpt_ids', kept)
        hook.keep_ckpt_ids = deque(kept, hook.max_keep_ckpts)
    name = hook.filename_tmpl.format(step)
    hook.last_ckpt = hook.file_backend.join_path(hook.out_dir, name)
    runner.message_hub.update_info('last_ckpt', hook.last_ckpt)
    share_gradients(runner)
    runner.save_checkpoint(
        hook.out_dir,
        name,
        hook.file_client_args,
        save_optimizer=hook.save_optimizer,
        save_param_scheduler=hook.save_param_scheduler,
        meta=meta,
        by_epoch=hook.by_epoch,
        backend_args=hook.backend_args,
        **hook.args,
    )
    if not is_main_process():
        return
    with replacing(osp.join(runner.work_dir, LAST)) as file:
        file.write(_name_in(runner.work_dir, str(hook.last_ckpt)))
    for old in outdated:
        name = hook.filename_tmpl.format(old)
        _remove(hook.file_backend, hook.file_backend.join_path(hook.out_dir, name))


def _name_in(folder, path):
    """A path as stored in ``last_checkpoint``, so that the folder can be moved."""
    if '://' in path:
        return path
    name = osp.relpath(path, folder)
    return osp.abspath(path) if name.startswith(osp.pardir) else name


def _remove(backend, path):
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):
        backend.rmtree(path)


class _RemovingLater:
    """A file backend that only notes what it is asked to remove."""

    def __init__(self, backend) -> None:
        self._backend, self.outdated = backend, []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path) -> None:
        self.outdated.append(path)

    rmtree = remove


@contextmanager
def removing_later(hook: CheckpointHook) -> Iterator[None]:
    """Let ``CheckpointHook`` remove files only after saving, and not what it saved."""
    backend = hook.file_backend
    hook.file_backend = later = _RemovingLater(backend)
    try:
        yield
    finally:
        hook.file_backend = backend
    current = {hook.last_ckpt, *_best(hook).values()}
    for path in later.outdated:
        if path not in current:
            _remove(backend, path)


def _best(hook) -> dict[str, str | None]:
    """Paths of the best checkpoints, by the key of the message hub."""
    if not hook.save_best:
        return {}
    if hasattr(hook, 'best_ckpt_path_dict'):
        paths = hook.best_ckpt_path_dict.items()
        return {f'best_ckpt_{key}': path for key, path in paths}
    return {'best_ckpt': hook.best_ckpt_path}


def follow_folder(hook: CheckpointHook, runner) -> None:
    """Adjust paths to a work directory that was moved.

    Args:
        hook (CheckpointHook): The hook, after its ``before_train``.
        runner (Runner): Its runner.
    """
    for key, path in _best(hook).items():
        if not path or '://' in str(hook.out_dir):
            continue
        path = hook.file_backend.join_path(hook.out_dir, osp.basename(path))
        runner.message_hub.update_info(key, path)
        if key == 'best_ckpt':
            hook.best_ckpt_path = path
        else:
            hook.best_ckpt_path_dict[key.removeprefix('best_ckpt_')] = path


def share_gradients(runner) -> None:
    """Average gradients that wait for their update, so that one process has them all.

    The update would average them over the processes anyway.

    Args:
        runner (Runner): Runner of a training with ``accumulative_counts``.
    """
    if isinstance(runner.model, DistributedDataParallel) and gradients_wait(runner):
        parameters = [p for p in runner.model.parameters() if p.requires_grad]
        there = [float(p.grad is not None) for p in parameters]
        there = parameters[0].new_tensor(there)
        all_reduce(there, 'max')
        for parameter in (p for p, used in zip(parameters, there.tolist()) if used):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            all_reduce(parameter.grad, 'mean')


def gradients_wait(runner) -> bool:
    """Whether there are accumulated gradients that no update has used yet."""
    wrapper = runner.optim_wrapper
    counts = getattr(wrapper, '_accumulative_counts', 1)
    if counts == 1 or wrapper._inner_count == wrapper._max_counts:
        return False
    return wrapper._inner_count % counts != 0
