"""Machine code on disk, which is executed: only what this user has kept is taken.

The folder and its files are the user's own, nobody else can write to them, and no link
leads there. Each file is signed, with a secret beside it, together with what it was
compiled from: damaged files, and those of another kernel or user, are left aside.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

_LEVELS = 'mmaction_videomambapro', 'kernels'
_SECRET, _SECRET_BYTES = 'secret', 32  # as long as a signature
_MAX_BYTES = 1 << 24  # a kernel has some 10 kB
_SAFELY = getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_CLOEXEC', 0)
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


def cache_folder() -> str:
    """Where compiled kernels are kept: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return os.path.join(_home(), *_LEVELS)


def read(name: str, origin: bytes) -> bytes | None:
    """The code that was kept under a name, or None.

    Args:
        name (str): Of the file.
        origin (bytes): Digest of what the code was compiled from and for.
    """
    with suppress(OSError), _opened_folder() as folder:
        content = _read(folder, name)
        signature, code = content[:_SECRET_BYTES], content[_SECRET_BYTES:]
        expected = _sign(_secret(folder), origin, code)
        return code if hmac.compare_digest(signature, expected) else None


def write(name: str, origin: bytes, code: bytes) -> None:
    """Keep code for the next start; arguments as for :func:`read`.

    Raises:
        OSError: If there is no place that is the user's alone, or no space.
    """
    with _opened_folder() as folder:
        _write(folder, name, _sign(_secret(folder), origin, code) + code)


def _home():
    home = os.environ.get('XDG_CACHE_HOME', '')  # its specification: ignore others
    return home if os.path.isabs(home) else os.path.expanduser('~/.cache')


@contextmanager
def _opened_folder() -> Iterator[int]:
    if os.open not in os.supports_dir_fd:  # Windows
        raise OSError('this system cannot open files in a folder safely')
    path = _home()
    if not os.path.isabs(path):
        raise OSError('no home directory is known; set XDG_CACHE_HOME to a folder')
    _make(path)
    with ExitStack() as stack:
        folder = os.open(path, os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, folder)
        for level in _LEVELS:
            with suppress(FileExistsError):
                os.mkdir(level, _PRIVATE_FOLDER, dir_fd=folder)
            folder = os.open(level, os.O_DIRECTORY | _SAFELY, dir_fd=folder)
            stack.callback(os.close, folder)
            path = os.path.join(path, level)
            _refuse_others(os.fstat(folder), path)
        yield folder


def _make(path):
    """The folder and those above it; ``os.makedirs`` leaves the latter to the umask."""
    if not os.path.isdir(path):
        _make(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path, _PRIVATE_FOLDER)


def _refuse_others(status, path):
    if status.st_uid != os.geteuid():
        raise PermissionError(f'{path} belongs to another user')
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f'others can write to {path}; delete it, or run chmod go-w on it'
        )


def _read(folder, name):
    # without O_NONBLOCK a FIFO would wait for a writer
    handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _SAFELY, dir_fd=folder)
    try:
        status = os.fstat(handle)
        _refuse_others(status, name)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            raise OSError(f'{name} is not a file of this cache')
        return os.read(handle, status.st_size)
    finally:
        os.close(handle)


def _write(folder, name, content):
    """Instead of whatever has that name; half a file is noticed when it is read."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
    try:
        handle = os.open(name, flags, _PRIVATE_FILE, dir_fd=folder)
    except FileExistsError:  # another process keeps the same at this moment
        return
    try:
        with open(handle, 'wb') as file:
            file.write(content)
    except OSError:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise


def _secret(folder):
    try:
        return _read_secret(folder)
    except OSError:
        _write(folder, _SECRET, os.urandom(_SECRET_BYTES))
        return _read_secret(folder)


def _read_secret(folder):
    secret = _read(folder, _SECRET)
    if len(secret) != _SECRET_BYTES:
        raise OSError(f'{_SECRET} is damaged')
    return secret


def _sign(secret, origin, code):
    return hmac.digest(secret, origin + code, 'sha256')
