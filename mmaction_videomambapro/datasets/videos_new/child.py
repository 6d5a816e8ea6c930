"""What the child of ``isolated.py`` does: answer requests until its parent is gone.

Requests come pickled; answers are fixed structs and raw bytes, since they are made from
files that nobody vouches for.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import resource
import signal
import socket
import struct
from contextlib import suppress
from importlib import import_module

import cv2
import numpy as np

from .shrink import shrink

MEMORY_LIMIT = 4 << 30  # bytes of data that the child may have
LONGEST_TEXT = 2000  # bytes of an error

ANSWER = struct.Struct('<cIId')  # its kind, and three numbers
DONE = b'd'  # number of frames, 0, frames per second
FRAME = b'f'  # height, width, 0; then the pixels
ERROR = b'e'  # bytes of text, 0, 0; then the text
MEMORY = b'm'


def serve(channel: int) -> None:
    """Answer requests on a socket with this descriptor; does not return."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent decides
        _end_with_parent()
        _limit_resources()
        cv2.setNumThreads(1)
        _serve(socket.socket(fileno=channel))
    finally:
        os._exit(1)  # destructors of decoders may wait for ever


def _end_with_parent():
    """Let the kernel kill us, stuck or not, when our parent's end of stdin closes.

    PR_SET_PDEATHSIG would do so when the thread ends that started us.
    """
    if hasattr(fcntl, 'F_SETSIG'):  # Linux; elsewhere only an idle child ends
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC)


def _limit_resources():
    limits = {
        resource.RLIMIT_DATA: MEMORY_LIMIT,
        resource.RLIMIT_CORE: 1,  # less than any core; 0 is ignored for piped ones
    }
    for kind, limit in limits.items():
        with suppress(ValueError):  # it is lower already
            resource.setrlimit(kind, (limit, limit))


def _serve(channel):
    requests = channel.makefile('rb')
    readers = {}
    while True:
        request = pickle.load(requests)
        try:
            for kind, a, b, c, content in _answers(readers, *request):
                channel.sendall(ANSWER.pack(kind, a, b, c))
                channel.sendall(content)
        except MemoryError:
            channel.sendall(ANSWER.pack(MEMORY, 0, 0, 0))
        except Exception as error:  # decoders raise whatever they like
            text = (str(error) or type(error).__name__).encode('utf-8', 'replace')
            text = text[-LONGEST_TEXT:]
            channel.sendall(ANSWER.pack(ERROR, len(text), 0, 0) + text)


def _answers(readers, name, number, *args):
    if name == 'open':
        where, source = args
        module, _, cls = where.partition(':')
        reader = getattr(import_module(module, __package__), cls)(source)
        yield DONE, len(reader), 0, reader.fps, b''
        readers[number] = reader
    elif name == 'read':
        inds, short_side = args
        frames = iter(readers[number].read(inds))
        for i in inds:
            frame = next(frames, None)
            if frame is None:
                raise EOFError(f'it ends before frame {i}')
            frame = np.ascontiguousarray(shrink(frame, short_side))
            yield FRAME, frame.shape[0], frame.shape[1], 0, frame
    else:  # close
        if number in readers:
            readers.pop(number).close()
        yield DONE, 0, 0, 0, b''
