"""Feed made-up inputs to a function in a child process, which they may crash."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from random import Random

import torch

# Beside the memory that the function may take per byte
CONSTANT = 300 << 20
# Events of the interpreter that no reader has to cause
FORBIDDEN = (
    *('os.', 'subprocess.', 'socket.', 'shutil.', 'ctypes.', 'open', 'exec', 'compile'),
    *('import', 'pickle.find_class'),
)


class Failure(Exception):
    """What a function must not do."""


def fuzz(
    make: Callable[[Random], bytes],
    trial: Callable[[bytes], str],
    seed: int,
    count: int | None = None,
    seconds: float | None = None,
    patience: int = 30,
    allowed: tuple[str, ...] = (),
) -> tuple[Counter, list[str]]:
    """Call a function with made-up inputs.

    It fails if it raises, ends or delays the process, takes more memory than 10 times
    the input and a constant, imports, starts processes, compiles code, or opens other
    files than ``/proc/self/fd/*``.

    Args:
        make (Callable): Makes an input from random numbers.
        trial (Callable): Takes it, and returns a word for what came of it.
        seed (int): Of the random numbers.
        count (int, optional): How many inputs. Defaults to as many as the time allows.
        seconds (float, optional): When to stop. Defaults to never.
        patience (int): Seconds for one input. Defaults to 30.
        allowed (tuple[str, ...]): Events that do not count as failures.

    Returns:
        tuple[Counter, list[str]]: How often each word came, and the failures with
        what is needed to make the input again.
    """
    context = multiprocessing.get_context('fork')
    number, failures, words = context.Value('L', 0), context.SimpleQueue(), Counter()
    end = time.monotonic() + (seconds or float('inf'))
    found = []

    def child(first, connection):
        torch.set_num_threads(1)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        watch = _watch(allowed)
        words, number.value = Counter(), first
        while number.value != count and time.monotonic() < end:
            data = make(_random(seed, number.value))
            signal.alarm(patience)
            _limit_memory(10 * len(data) + CONSTANT)
            try:
                with watch:
                    words[trial(data)] += 1
            except BaseException as error:
                failures.put((number.value, f'{type(error).__name__}: {error}'[:500]))
            signal.alarm(0)
            _limit_memory(None)
            number.value += 1
        connection.send(words)

    first = 0
    while True:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(first, sender))
        process.start()
        sender.close()
        try:
            words += receiver.recv()
            finished = True
        except EOFError:
            finished = False
        process.join()
        while not failures.empty():
            found.append('input {} of seed {}: {}'.format(*_with(seed, failures.get())))
        if finished:
            return words, found
        if process.exitcode >= 0:
            raise RuntimeError(f'input {number.value} of seed {seed} cannot be made')
        reason = signal.Signals(-process.exitcode).name
        found.append(f'input {number.value} of seed {seed}: ended by {reason}')
        first = number.value + 1


def main(
    make: Callable, trial: Callable, seeds: str, allowed: tuple[str, ...] = ()
) -> None:
    """The command line of a fuzzer.

    Args:
        make (Callable): As for :func:`fuzz`.
        trial (Callable): As for :func:`fuzz`.
        allowed (tuple[str, ...]): As for :func:`fuzz`.
        seeds (str): What the inputs are made of, for the help.
    """
    parser = argparse.ArgumentParser(description=f'Fuzz the reading of {seeds}.')
    parser.add_argument('--minutes', type=float, default=1)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--save', help='only write this input', metavar='NUMBER:FILE')
    args = parser.parse_args()
    if args.save:
        number, path = args.save.split(':', 1)
        with open(path, 'wb') as file:
            file.write(make(_random(args.seed, int(number))))
        return
    words, failures = fuzz(
        make, trial, args.seed, seconds=60 * args.minutes, allowed=allowed
    )
    print(f'{words.total()} inputs:', ', '.join(f'{n} {w}' for w, n in words.items()))
    print(f'{len(failures)} failures', *failures, sep='\n')
    sys.exit(bool(failures))


def main_in_folder(fuzz_files: Callable, description: str) -> None:
    """The command line of a fuzzer of files by name.

    Args:
        fuzz_files (Callable): Takes a ``Random``, and a function that says of a number
            whether it goes on; works in the current folder, and returns a ``Counter``.
        description (str): For the help.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--minutes', type=float, default=1)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    os.chdir(tempfile.mkdtemp(prefix='fuzz-'))
    end = time.monotonic() + 60 * args.minutes
    counts = fuzz_files(Random(args.seed), lambda _: time.monotonic() < end)
    print(f'{sum(counts.values())} files')
    for what, count in sorted(counts.items()):
        print(f'{count:8d} {what}')


def _random(seed, number):
    return Random(f'{seed} {number}')


def _with(seed, failure):
    number, reason = failure
    return number, seed, reason


def _limit_memory(more):
    """Limit the address space to its current size plus some, or remove the limit."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if more is not None:
        with open('/proc/self/statm') as file:
            more += int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (hard if more is None else more, hard))


class _watch:
    """Inside the block, forbidden events of the interpreter are failures."""

    def __init__(self, allowed):
        self.on, self.seen, self.allowed = False, None, allowed
        sys.addaudithook(self.look)

    def __enter__(self):
        self.on = True

    def __exit__(self, *_):
        self.on, seen, self.seen = False, self.seen, None
        if seen:  # also if what raised below was caught
            raise Failure(seen)

    def look(self, event, arguments):
        own = event == 'open' and (
            isinstance(arguments[0], int)  # already open
            or str(arguments[0]).startswith('/proc/self/fd/')
        )
        own = own or event in self.allowed
        if own or not self.on or not event.startswith(FORBIDDEN):
            return
        self.on, self.seen = False, f'{event} {arguments}'[:200]
        raise Failure(self.seen)
