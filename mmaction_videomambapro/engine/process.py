"""How a tool's process ends, and what it locks while it runs."""

from __future__ import annotations

import errno
import multiprocessing
import os
import os.path as osp
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.queues import Queue

import torch

from ..errors import UsageError

try:
    import fcntl
except ImportError:  # Windows: work directories are not locked there
    fcntl = None  # type: ignore[assignment]

LOCK = '.lock'
GRACE = 10  # seconds to end after a signal

_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
_NO_LOCKS = errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL
_SIGNALS = [
    getattr(signal, name)
    for name in ('SIGTERM', 'SIGHUP', 'SIGINT')
    if hasattr(signal, name)  # Windows has no SIGHUP
]
_SHARED_MEMORY = re.compile(
    r'bus error|out of shared memory|allocate shared memory|shared memory object'
    r'|write to file </?torch_|truncat\w+ .*</?torch_',
    re.IGNORECASE,
)


class Terminated(BaseException):
    """A signal that asks the process to end.

    Args:
        number (int): The signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class InUseError(UsageError):
    """A folder that another process works in, reported in one sentence."""


@contextmanager
def ending_children() -> Iterator[None]:
    """End the processes that were started inside, however the block is left.

    SIGTERM, SIGHUP and Ctrl-C raise :class:`Terminated`, unless they are already
    handled or ignored, as by submitit and nohup. Where a library mistakes that for an
    error of its own, it is raised again; where it is lost, as in a destructor, the
    process still ends after a while.

    Raises:
        Terminated: After the children have ended.
    """
    own, received, handled, timers = os.getpid(), [], {}, []

    def terminate(number, frame):
        if os.getpid() != own:  # a child, forked with this handler
            signal.signal(number, handled[number])
            signal.raise_signal(number)
            return
        received.append(number)
        timers.append(threading.Timer(GRACE, _end_at_once, [128 + number]))
        timers[-1].daemon = True
        timers[-1].start()
        raise Terminated(number)

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if before in (signal.SIG_DFL, signal.default_int_handler):
                handled[number] = before
                signal.signal(number, terminate)
    _hear_of_workers(own)
    try:
        yield
    except BaseException:
        if received:
            raise Terminated(received[0]) from None
        raise
    finally:
        for number in handled:  # one signal is enough
            signal.signal(number, signal.SIG_IGN)
        _end_children()
        for timer in timers:
            timer.cancel()
        for number, before in handled.items():
            signal.signal(number, before)


_last_words = []  # a pipe for children's last messages


def _hear_of_workers(own):
    """Make a data loader's process exit if it cannot hand over a batch.

    Python only prints the error, and the main process would wait forever.
    """
    if _last_words:
        return
    _last_words.extend(os.pipe())
    os.set_blocking(_last_words[0], False)
    on_error = Queue._on_queue_feeder_error

    def end(error, obj):
        if os.getpid() == own:
            on_error(error, obj)
            return
        reason = reason_of(error) or f'a batch could not be handed over: {error}'
        os.write(_last_words[1], reason.encode()[:4096])
        os._exit(1)

    Queue._on_queue_feeder_error = staticmethod(end)


def _end_children():
    children = multiprocessing.active_children()
    if not children:
        return
    # torch's handler would raise for children that a signal ends
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for end in ('terminate', 'kill'):
        for child in children:
            getattr(child, end)()
        for child in children:
            child.join(3)


def _end_at_once(code):
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def reason_of(error: BaseException) -> str | None:
    """Explain in one sentence an error of the machine rather than of the program.

    Args:
        error (BaseException): The error that ended a tool.

    Returns:
        str, optional: What is wrong and what to do, or None for other errors.
    """
    chain, cause = [], error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if any(isinstance(e, OSError) and e.errno in _FULL for e in chain) or (
        'PytorchStreamWriter' in text or 'No space left on device' in text
    ):
        if _SHARED_MEMORY.search(text):
            return _NO_SHARED_MEMORY
        named = next(filter(None, (getattr(e, 'filename', None) for e in chain)), None)
        return (
            f'{named or "a file"} could not be written: the disk is full, or a quota '
            'or limit on file sizes is reached. Complete files are still there; '
            'make room, or choose another folder'
        )
    if isinstance(error, (RuntimeError, OSError)):
        if _SHARED_MEMORY.search(text):
            return _NO_SHARED_MEMORY
        if 'exited unexpectedly' in text and _last_words:
            with suppress(BlockingIOError):
                return os.read(_last_words[0], 4096).decode(errors='replace')
        if 'killed by signal: Killed' in text:
            return (
                'a process of a data loader was killed, probably as memory ran out: '
                'set its num_workers or batch_size lower'
            )
        if 'Too many open files' in text:
            return 'too many files are open: raise the limit (ulimit -n 65536)'
        if 'No working C++ compiler' in text:
            return 'compile=True needs a C++ compiler: install g++, or leave it out'
    if isinstance(error, BlockingIOError) or getattr(error, 'errno', 0) == errno.EAGAIN:
        return 'no more processes can be started: set num_workers lower (ulimit -u)'
    if isinstance(error, OSError) and error.filename is not None:
        if torch.hub.get_dir().startswith(str(error.filename)):
            return (
                f'{error.filename}: {error.strerror}, and checkpoints cannot be '
                'fetched to there: set TORCH_HOME to a folder of your own'
            )
        return f'{error.filename}: {error.strerror}'
    return (text or repr(error)) if isinstance(error, OSError) else None


_NO_SHARED_MEMORY = (
    'the processes of the data loader ran out of shared memory (/dev/shm): give the '
    'container more (docker run --shm-size=8g), or load in the main process, '
    '--cfg-options {train,val,test}_dataloader.num_workers=0 and '
    'persistent_workers=False'
)


def hold(path: str, what: str) -> None:
    """Lock a folder's file for this process until it ends.

    The lock ends with the process, however that ends. On file systems without locks,
    nothing is locked.

    Args:
        path (str): The file to lock, ``LOCK`` in a folder or an existing one.
        what (str): What the error advises to choose another one of.

    Raises:
        InUseError: If another process holds it.
        OSError: If the file cannot be written to.
    """
    if fcntl is None:
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    status = os.fstat(handle)
    if (status.st_dev, status.st_ino) in _held:
        os.close(handle)
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = ''
        if osp.basename(path) == LOCK:
            holder = os.read(handle, 200).decode(errors='replace').strip()
        os.close(handle)
        if error.errno in _NO_LOCKS:
            return
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise InUseError(
            f'{osp.dirname(path)} is in use by {holder or "another process"}: wait for '
            f'it, end it, or choose another {what}'
        ) from None
    _held.add((status.st_dev, status.st_ino))
    if osp.basename(path) == LOCK:
        with suppress(OSError):  # on a full disk the holder is just not named
            os.ftruncate(handle, 0)
            name = f'process {os.getpid()} on {socket.gethostname()}\n'
            os.write(handle, name.encode())
    # children would hold it longer than this process
    os.register_at_fork(after_in_child=lambda: os.close(handle))


_held = set()  # by this process: device and inode of each file


def is_main_process() -> bool:
    """Whether this is the first of the processes that a launcher started."""
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if name in os.environ:
            return os.environ[name] == '0'
    return True
