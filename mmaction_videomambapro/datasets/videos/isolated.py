"""A reader in a process of its own, which may die or be killed without harm to ours.

Each process of ours has at most one such child, started when first needed.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.util import Finalize

import numpy as np

from .child import ANSWER, DONE, ERROR, FRAME, MEMORY, MEMORY_LIMIT

TIME_LIMIT = 60.0  # seconds without an answer after which the child is killed
BATCH = 16  # frames per request
LARGEST_FRAME = 1 << 30  # bytes

# This folder becomes a package whose __init__ does not run, in a process that does not
# import the package around it: those take seconds, and the child starts in 0.2 s.
BOOT = """
import sys
channel, folder, *sys.path = sys.argv[1:]
package = sys.modules['videos'] = type(sys)('videos')
package.__path__ = [folder]
from videos.child import serve
serve(int(channel))
"""


class DecoderError(RuntimeError):
    """A decoder gave up, died, or had to be killed."""


class Isolated:
    """A reader in the child; where the child is lost, a new one opens the file again.

    Args:
        reader (str): 'module:Class' of the reader, as '.foreign:Decord'. The child
            imports it by the ``sys.path`` of this process.
        source (str | bytes): An absolute path, or the content of a file.
        time_limit (float): Seconds to wait for an answer: for opening, and for each
            frame. Defaults to ``TIME_LIMIT``.

    Attributes:
        fps (float): Frames per second, on average.

    Raises:
        DecoderError: If the reader raises, dies, needs too much memory or gives no
            answer in time. Methods raise it as well.
    """

    _numbers = itertools.count()

    def __init__(
        self, reader: str, source: str | bytes, time_limit: float = TIME_LIMIT
    ) -> None:
        self._reader, self._source, self._limit = reader, source, time_limit
        self._number, self._child = next(self._numbers), None
        with _lock:
            self._open()

    def __len__(self) -> int:
        return self._length

    def read(
        self, inds: Sequence[int], short_side: int | None = None
    ) -> Iterator[np.ndarray]:
        """Read frames.

        Args:
            inds (Sequence[int]): Numbers of frames from 0, sorted, each once.
            short_side (int, optional): As of ``shrink``, which the child does.

        Yields:
            np.ndarray: (H, W, 3), uint8, RGB.
        """
        for start in range(0, len(inds), BATCH):
            part = [int(i) for i in inds[start : start + BATCH]]
            with _lock:
                self._open()
                request = 'read', self._number, part, short_side
                frames = self._child.ask(self._limit, FRAME, len(part), request)
            yield from frames

    def close(self) -> None:
        self._drop()
        with _lock:
            _close_dropped()

    def __del__(self) -> None:
        self._drop()  # amid a request, perhaps: the child hears of it before the next

    def _drop(self):
        if getattr(self, '_child', None) is not None:
            self._child.dropped.append(self._number)
            self._child = None

    def _open(self):
        child = _living_child()
        if self._child is not child:
            self._child = None
            request = 'open', self._number, self._reader, self._source
            [(self._length, self.fps)] = child.ask(self._limit, DONE, 1, request)
            self._child = child


class _Child:
    """The process, seen from ours."""

    def __init__(self):
        self.dropped = []  # numbers of readers to close
        self.channel, theirs = socket.socketpair()
        with theirs:  # it may be 0 where that was closed, but the child has a stdin
            fd = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
        folder = os.path.dirname(os.path.abspath(__file__))
        try:
            self.process = subprocess.Popen(
                [sys.executable, '-c', BOOT, str(fd), folder, *map(str, sys.path)],
                stdin=subprocess.PIPE,  # open as long as we are: see _end_with_parent
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # C libraries print here
                pass_fds=[fd],
                env={**os.environ, 'OMP_NUM_THREADS': '1'},
            )
        finally:
            os.close(fd)
        # unlike atexit, it is run in workers of multiprocessing too; and only once
        self.stop = Finalize(None, _stop, (self.process, self.channel), exitpriority=0)

    def is_alive(self):
        return self.stop.still_active() and self.process.poll() is None

    def ask(self, limit, kind, answers, request):
        """Send a request and wait for answers; all failures but ERROR end the child."""
        try:
            self.channel.settimeout(limit)
            self.channel.sendall(pickle.dumps(request))
            return [self._answer(kind, limit) for _ in range(answers)]
        except TimeoutError:
            reason = f'it gave no answer for {limit:g} s'
        except OSError:
            reason = self._end()
        except ValueError as error:
            reason = str(error)
        except MemoryError:
            reason = f'it needs more than {MEMORY_LIMIT >> 30} GiB of memory'
        except DecoderError:
            raise
        except BaseException:  # as Ctrl-C: answers would stay in the channel
            self.stop()
            raise
        self.stop()
        raise DecoderError(reason)

    def _answer(self, expected, limit):
        deadline = time.monotonic() + limit
        kind, a, b, c = ANSWER.unpack(self._receive(ANSWER.size, deadline))
        if kind == ERROR:
            text = self._receive(a, deadline).tobytes()
            raise DecoderError(text.decode('utf-8', 'replace'))
        if kind == MEMORY:
            raise MemoryError
        if kind != expected:
            raise ValueError('its process gave no proper answer')
        if kind == FRAME:
            return self._receive(a * b * 3, deadline).reshape(a, b, 3)
        return a, c

    def _receive(self, size, deadline):
        if size > LARGEST_FRAME:
            raise MemoryError
        data = np.empty(size, np.uint8)
        rest = memoryview(data)
        while rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.channel.settimeout(left)
            received = self.channel.recv_into(rest)
            if received == 0:
                raise ConnectionError
            rest = rest[received:]
        return data

    def _end(self):
        """How the process ended."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return 'its process gave no answer'
        if code >= 0:
            return f'its process ended with exit code {code}'
        names = {number.value: number.name for number in signal.Signals}
        return f'its process ended with signal {names.get(-code, -code)}'


def _stop(process, channel):
    channel.close()
    process.stdin.close()
    process.kill()
    with suppress(subprocess.TimeoutExpired):  # waits for a dead disk, say
        process.wait(5)


_lock = threading.Lock()
_child = None


def _living_child():
    global _child
    _close_dropped()
    if _child is None or not _child.is_alive():
        if _child is not None:
            _child.stop()
        _child = _Child()
    return _child


def _close_dropped():
    with suppress(DecoderError):
        while _child is not None and _child.dropped and _child.is_alive():
            request = 'close', _child.dropped.pop()
            _child.ask(TIME_LIMIT, DONE, 1, request)


def _leave_to_parent():
    """After a fork: the child is our parent's, and its lock may be held."""
    global _child, _lock
    _lock = threading.Lock()
    if _child is not None:
        _child.channel.close()
        _child.process.stdin.close()
        _child.process.returncode = 0  # nothing to wait for
        _child = None


os.register_at_fork(after_in_child=_leave_to_parent)
