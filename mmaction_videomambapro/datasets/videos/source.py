"""The bytes of a video, without their name, for a limited time."""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from typing import BinaryIO
from urllib.request import urlopen

from mmengine import fileio

SILENCE = 30  # seconds that a server may say nothing
LARGEST = 2 << 30  # bytes that are kept in memory
TIME_LIMIT = 120  # seconds to open a video, or to reach one more frame
MOST_BYTES = 256 << 20  # to find one more packet in, which FFmpeg may hold in memory


class VideoError(RuntimeError):
    """A video that cannot be decoded."""


def open_file(path: str) -> BinaryIO:
    """Open a regular file to read, without waiting for a pipe's other end.

    Raises:
        OSError: If it cannot be opened, or is a folder.
        VideoError: If it is a pipe, a device or the like, or empty.
    """
    nonblocking = getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
    descriptor = os.open(path, os.O_RDONLY | nonblocking)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size:
        return os.fdopen(descriptor, 'rb', 0)
    os.close(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    what = 'is empty' if stat.S_ISREG(status.st_mode) else 'is not a regular file'
    raise VideoError(f'{path} {what}')


def fetch(url: str) -> bytes:
    """Read a remote file into memory.

    HTTP goes past MMEngine's backend, which waits for ever and has no limit.

    Args:
        url (str): What MMEngine's file backends know, as ``https://`` and ``s3://``.

    Raises:
        OSError: If it cannot be read.
        VideoError: If it is empty, or too large to be kept in memory.
    """
    if url.startswith(('http://', 'https://')):
        try:
            with urlopen(url, timeout=SILENCE) as response:
                content = response.read(LARGEST + 1)
        except OSError as error:
            reason = getattr(error, 'reason', error)
            raise OSError(f'{url} cannot be fetched: {reason}') from error
    else:
        content = fileio.get(url)
    if not content:
        raise VideoError(f'{url} is empty')
    if len(content) > LARGEST:
        raise VideoError(f'{url} is larger than {LARGEST >> 30} GB: download it first')
    return content


class Source:
    """A file or bytes, as FFmpeg reads them.

    FFmpeg is not given the name: it would take a colon for a protocol, ``%d`` for a
    pattern of images, and an extension for a format. And as even a search for ever
    has to read, the time is watched here.

    Args:
        content (BinaryIO | bytes): What to read; a file is closed by ``close``.
    """

    def __init__(self, content: BinaryIO | bytes) -> None:
        self._file = io.BytesIO(content) if isinstance(content, bytes) else content
        self.restart()

    def restart(self) -> None:
        """Allow another ``TIME_LIMIT`` seconds."""
        self._end, self._failed = time.monotonic() + TIME_LIMIT, False
        self._bytes = 0

    def check(self) -> None:
        """Raise a VideoError if the time is over, else start another packet."""
        self._bytes = 0
        if time.monotonic() > self._end:
            raise VideoError(f'it takes longer than {TIME_LIMIT} s')

    def read(self, size: int) -> bytes:
        return b'' if self._failed else self._try(self._read, size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return -1 if self._failed else self._try(self._file.seek, offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def _try(self, call, *args):
        """Fail once only: of two errors within a call of FFmpeg's, PyAV prints one."""
        try:
            if time.monotonic() > self._end:
                self.check()
            return call(*args)
        except Exception:
            self._failed = True
            raise

    def _read(self, size):
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise VideoError(f'there is no frame in {MOST_BYTES >> 20} MB')
        return self._file.read(size)
