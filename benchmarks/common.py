"""What the benchmarks share: time, memory, the machine's name."""

from __future__ import annotations

import ctypes
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch


def milliseconds(function: Callable[[], object], seconds: float = 1.0) -> float:
    """Median time of a call, after one to warm up, over about ``seconds``."""
    times = []
    start = time.perf_counter()
    function()
    if time.perf_counter() - start > 10 * seconds:  # too slow to repeat
        return 1e3 * (time.perf_counter() - start)
    while sum(times) < seconds or len(times) < 5:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def megabytes(function: Callable[[], object]) -> float:
    """How far the process grows during a call, above what it holds before (Linux)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    before = _status('VmRSS')
    function()
    return (_status('VmHWM') - before) / 1024


def _status(field):
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])  # kB
    raise KeyError(field)


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            cpu = line.split(': ')[1]
            break
    return (
        f'{cpu}, {torch.get_num_threads()} threads, torch {torch.__version__}, '
        f'Python {platform.python_version()}, {time.strftime("%Y-%m-%d")}'
    )


def row(*cells: object) -> None:
    """A line of a Markdown table."""
    print('| ' + ' | '.join(map(cell, cells)) + ' |', flush=True)


def cell(value: object) -> str:
    """What stands in a cell of a table; numbers with three digits."""
    if not isinstance(value, float):
        return str(value)
    return f'{value:.3g}' if value < 1e3 else f'{value:.0f}'


def header(*cells: str) -> None:
    row(*cells)
    row(*('---' for _ in cells))
