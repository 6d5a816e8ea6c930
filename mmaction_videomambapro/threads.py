"""Set how many CPU threads compute and how they wait, before torch is loaded.

OpenMP's threads keep their core busy while they wait for each other and for the next
operator. If another process needs that core, each wait lasts until the system takes
the core away, and training becomes at least ten times slower. So the threads are set to
sleep instead, and there are no more of them than cores that this process may use.
Neither setting depends on how busy the machine is, because the number of threads
determines the order of summation.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from types import ModuleType

WAIT_VARIABLES = 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME'
COUNT_VARIABLES = 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'
_TOO_LATE = (
    'torch was imported before mmaction_videomambapro, so its threads keep cores busy '
    'while they wait; set OMP_WAIT_POLICY=PASSIVE if other processes need these cores'
)


def let_threads_sleep() -> None:
    """Let OpenMP's waiting threads sleep, unless the user's environment sets this.

    Has no effect once torch is imported: OpenMP reads its environment only once.
    """
    if 'torch' not in sys.modules and not _given(WAIT_VARIABLES):
        os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'


def limit_threads(torch: ModuleType) -> None:
    """Use no more threads than cores, unless the user's environment sets their number.

    PyTorch counts the cores of the machine and ignores a container's quota.
    """
    cores = available_cores()
    if torch.get_num_threads() > cores and not _given(COUNT_VARIABLES):
        torch.set_num_threads(cores)
    if torch.get_num_threads() > 1 and not _given(WAIT_VARIABLES):
        machine = os.cpu_count() or 1
        if _load() > machine:
            warnings.warn(
                f'The {machine} cores are busy (load {_load():.1f}): {_TOO_LATE}.',
                stacklevel=2,
            )


def _load():
    with suppress(OSError):
        return os.getloadavg()[0]
    return 0


def available_cores() -> int:
    """Cores that this process may use, by its affinity and its container's quota."""
    if hasattr(os, 'sched_getaffinity'):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def _quota(
    own: Path = Path('/proc/self/cgroup'), groups: Path = Path('/sys/fs/cgroup')
) -> float:
    """CPU quota of the control groups, in cores; infinity if there is no limit."""
    quotas = [math.inf]
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(':', 2)
            if controllers == '':  # version 2
                folder = groups
            elif 'cpu' in controllers.split(','):
                folder = groups / 'cpu'
            else:
                continue
            parts = Path(path.strip('/')).parts  # limits of parent groups apply too
            for depth in range(len(parts) + 1):
                quotas.append(_quota_of(folder.joinpath(*parts[:depth])))
    return min(quotas)


def _quota_of(group):
    with suppress(OSError, ValueError):
        try:
            quota, period = (group / 'cpu.max').read_text().split()
        except FileNotFoundError:  # version 1
            quota = (group / 'cpu.cfs_quota_us').read_text()
            period = (group / 'cpu.cfs_period_us').read_text()
        if int(quota) > 0:  # ValueError: 'max'
            return int(quota) / int(period)
    return math.inf


def describe() -> str:
    """Describe the settings, for the diagnosis page."""
    import torch

    counts, waits = map(_given, (COUNT_VARIABLES, WAIT_VARIABLES))
    cores = f'{torch.get_num_threads()} for {available_cores()} cores'
    return f'{cores}{counts and f" ({counts})"}; waiting: {waits or _TOO_LATE}'


def _given(names):
    return ', '.join(f'{x}={os.environ[x]}' for x in names if os.environ.get(x))
