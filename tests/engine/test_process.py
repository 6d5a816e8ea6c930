"""Processes end together with their children and release what they hold."""

import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from mmaction_videomambapro.engine.process import (
    LOCK,
    InUseError,
    Terminated,
    ending_children,
    hold,
    is_main_process,
    reason_of,
)

HOLD = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
os.write(handle, b'process 1 on there')
print('held', flush=True)
time.sleep(60)
"""


def test_a_folder_is_held_until_the_process_ends(tmp_path):
    lock = str(tmp_path / LOCK)
    holder = subprocess.Popen(
        [sys.executable, '-S', '-c', HOLD, lock], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == 'held\n'
    with pytest.raises(InUseError, match=r'in use by process 1 on there.*--work-dir'):
        hold(lock, '--work-dir')
    holder.kill()
    holder.wait()
    holder.stdout.close()
    hold(lock, '--work-dir')  # as a requeued job does
    hold(lock, '--work-dir')
    assert str(os.getpid()) in (tmp_path / LOCK).read_text()


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, 'no locks')

    monkeypatch.setattr('fcntl.flock', flock)
    hold(str(tmp_path / LOCK), '--work-dir')


def open_files(connection):
    connection.send([os.readlink(e.path) for e in os.scandir('/proc/self/fd')
                     if os.path.lexists(e.path)])  # fmt: skip


def test_a_child_does_not_keep_the_lock(tmp_path):
    hold(str(tmp_path / LOCK), '--work-dir')
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe()
    child = context.Process(target=open_files, args=[theirs])
    child.start()
    assert str(tmp_path / LOCK) not in ours.recv()
    child.join()


def swallow():
    try:
        time.sleep(30)
    except BaseException as error:  # as libraries do
        raise SyntaxError('not what it is') from error


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize('wait', [swallow, lambda: time.sleep(30)])
def test_signals_end_the_children_too(number, wait):
    before = signal.getsignal(number)
    child = multiprocessing.get_context('fork').Process(target=time.sleep, args=[60])
    start = time.time()

    def run():
        with ending_children():
            child.start()
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), number))
            wait()

    with pytest.raises(Terminated) as error:
        run()
    assert error.value.number == number
    assert not child.is_alive()
    timers = [x for x in threading.enumerate() if isinstance(x, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)  # nothing ends us later
    assert time.time() - start < 10
    assert signal.getsignal(number) == before


def test_signals_that_others_handle_are_left_to_them():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with ending_children():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (OSError(errno.ENOSPC, 'No space left', 'a.pth'), r'a\.pth .* disk is full'),
        (caused(RuntimeError('x'), OSError(errno.EFBIG, 'large')), 'disk is full'),
        (RuntimeError('[enforce fail] . PytorchStreamWriter failed'), 'disk is full'),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Bus error. It '
                      "is possible that dataloader's workers are out of shared "
                      'memory.'), r'/dev/shm.*--shm-size.*num_workers=0'),
        (RuntimeError('unable to allocate shared memory(shm) for file </torch_1_2_3>: '
                      'No space left on device (28)'), '/dev/shm'),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed.'),
         'memory ran out'),
        (RuntimeError('InvalidCxxCompiler: No working C++ compiler found in\n x'),
         'install g'),
        (BlockingIOError(errno.EAGAIN, 'temporarily unavailable'), 'num_workers'),
        (PermissionError(errno.EACCES, 'Permission denied', '/x/y'),
         '^/x/y: Permission denied$'),
    ],
)  # fmt: skip
def test_errors_of_the_machine_are_one_sentence(error, message):
    reason = reason_of(error)
    assert '\n' not in reason
    assert re.search(message, reason)


@pytest.mark.parametrize('error', [ValueError('x'), RuntimeError('x')])
def test_errors_of_the_program_keep_their_traceback(error):
    assert reason_of(error) is None


@pytest.mark.parametrize('name', ['RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'])
def test_one_process_of_a_run_is_the_main_one(monkeypatch, name):
    assert is_main_process()
    monkeypatch.setenv(name, '1')
    assert not is_main_process()
