"""Write files and folders that are either complete or not there."""

from __future__ import annotations

import errno
import hashlib
import os
import os.path as osp
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO
from uuid import uuid4

from .errors import UsageError

try:
    import fcntl
except ImportError:  # Windows: leftovers of killed processes are not removed
    fcntl = None

_UNFINISHED = '.making-mmaction_videomambapro-'
_TOO_MUCH = errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO


@contextmanager
def replacing(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
    """Write a new file that replaces ``path`` once it is complete.

    It is on disk before it replaces ``path``, so a crash of the machine leaves either
    the old file or the new one. Links are followed and permissions are kept. If
    ``path`` is not a regular file (``/dev/null``, a pipe, ``/dev/stdout``), it is
    written to directly. Unfinished files of killed processes are removed from the
    folder.

    Args:
        path (str | PathLike): The file; its folder is created if needed.
        mode (str): ``'w'`` for text in UTF-8, ``'wb'`` for bytes.
            Defaults to ``'w'``.

    Yields:
        IO: The file to write to. Its ``name`` has the extension of ``path`` and can be
        read after a flush. If anything fails, ``path`` stays as it was.

    Raises:
        OSError: If the file cannot be written; it names ``path``.
    """
    text = {} if 'b' in mode else dict(encoding='utf-8', errors='surrogateescape')
    path = os.fsdecode(path)
    with _errors_name(path):
        path = _follow(path)
        old = _status(path)
        if _is_open_file(path) or (old is not None and not stat.S_ISREG(old.st_mode)):
            with open(_own_descriptor(path), mode, **text) as file:
                yield file
            return
        if old is not None and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        permissions = 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o777

        def make(temporary):
            with suppress(FileExistsError):
                return os.open(
                    temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, permissions
                )

        ending = osp.splitext(path)[1]
        ending = ending if re.fullmatch(r'\.\w{1,8}', ending) else ''
        with _unfinished(path, make, ending) as (temporary, handle):
            with open(
                temporary, mode, opener=lambda *_: os.dup(handle), **text
            ) as file:
                yield file
                file.flush()
                if old is not None:
                    with suppress(PermissionError):
                        os.chown(temporary, old.st_uid, old.st_gid)
                    os.chmod(temporary, permissions)
                os.fsync(handle)
            os.replace(temporary, path)
        _sync_folder(osp.dirname(path))


@contextmanager
def making_folder(path: str | os.PathLike) -> Iterator[str]:
    """Create a folder that appears as ``path`` once it is complete.

    Use :func:`replacing` for files in it that must survive a crash of the machine.

    Args:
        path (str | PathLike): The folder, which must be new or empty; its parents are
            created if needed.

    Yields:
        str: The folder to fill. If anything fails, it is removed.

    Raises:
        OSError: If the folder cannot be written; it names ``path``.
    """

    def make(temporary):
        with suppress(FileExistsError):
            os.mkdir(temporary)
            return os.open(temporary, os.O_RDONLY)

    path = os.fsdecode(path)
    with _errors_name(path):
        _status(path)
        path = osp.realpath(path)
        with _unfinished(path, make) as (temporary, _):
            yield temporary
            os.replace(temporary, path)
        _sync_folder(osp.dirname(path))


def is_empty(folder: str | os.PathLike) -> bool:
    """Whether a folder is empty, once leftovers of killed processes are removed."""
    _remove_stale(folder)
    return not os.listdir(folder)


def refuse_same(source: str | os.PathLike, *destinations: str | os.PathLike) -> None:
    """Make sure that no destination is the source, even under another name.

    Raises:
        UsageError: If a destination is the source.
    """
    for destination in destinations:
        with suppress(FileNotFoundError):
            if osp.samefile(source, destination):
                raise UsageError(
                    f'{destination} is what is read, {source}: choose another '
                    'destination'
                )


@contextmanager
def _errors_name(path):
    """Name the file in errors about a full disk and about a failed rename."""
    try:
        yield
    except OSError as error:
        unfinished = _UNFINISHED in str(error.filename)
        if unfinished or (error.filename is None and error.errno in _TOO_MUCH):
            raise OSError(error.errno, error.strerror, path) from error
        raise


@contextmanager
def _unfinished(path, make: Callable[[str], int | None], ending=''):
    """Make a temporary file or folder next to a path; yield its path and descriptor.

    The descriptor is locked, which tells other processes that it is in use.
    """
    folder = osp.dirname(path)
    os.makedirs(folder, exist_ok=True)
    _remove_stale(folder)
    handle = None
    while handle is None:
        temporary = osp.join(folder, f'{_UNFINISHED}{uuid4().hex[:12]}{ending}')
        handle = make(temporary)
        if handle is not None and not _lock(handle, temporary):
            os.close(handle)  # another process removed it as a leftover
            handle = None
    try:
        yield temporary, handle
    except BaseException:
        _remove(temporary)
        raise
    finally:
        os.close(handle)


def _lock(handle, path):
    """Lock a descriptor; False if another process holds it or the path has changed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return osp.exists(path) and osp.samestat(os.fstat(handle), os.stat(path))


def _remove_stale(folder):
    """Remove the unfinished files of ended processes from a folder."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(_UNFINISHED) and not entry.is_symlink():
                with suppress(OSError):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path):
    if fcntl is None:
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if it is in use
        _remove(path)
    finally:
        os.close(handle)


def _remove(path):
    if osp.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(path)


def _follow(path):
    """Resolve the links of a path, except the system's links to open files.

    Raises:
        OSError: If the path is impossible: too long, or a cycle of links.
    """
    _status(path)
    while True:
        path = osp.join(osp.realpath(osp.dirname(path)), osp.basename(path))
        if not osp.islink(path) or _is_open_file(path):
            return path
        path = osp.join(osp.dirname(path), os.readlink(path))


def _status(path):
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _is_open_file(path):
    """Whether a path, with its folder resolved, is a system link to an open file."""
    return re.match(r'/proc/.*/fd/\d+$', path) is not None


def _own_descriptor(path):
    """A duplicate descriptor if a path is an open file of this process, else the path.

    It shares its position with the original, so that writing to ``/dev/stdout`` keeps
    the order of the output.
    """
    if re.match(rf'/proc/{os.getpid()}/(task/\d+/)?fd/\d+$', path):
        sys.stdout.flush()
        return os.dup(int(osp.basename(path)))
    return path


def _sync_folder(path):
    with suppress(OSError):  # some file systems cannot
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
