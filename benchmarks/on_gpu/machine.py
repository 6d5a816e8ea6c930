"""The machine and what is installed on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import triton

from .device import Plan, copy_bandwidth, heading
from .report import Report

PACKAGES = (
    *('numpy', 'wrapt', 'mmengine', 'mmcv-lite', 'mmaction2', 'pytest', 'hypothesis'),
    *('mamba-ssm', 'causal-conv1d'),
)


def run(stage: str, report: Report, plan: Plan) -> None:
    report.line(heading(plan))
    report.table('Machine', 'is')
    properties = torch.cuda.get_device_properties(0)
    report.row('capability', f'{properties.major}.{properties.minor}')
    report.row('multiprocessors', properties.multi_processor_count)
    report.row('memory, GiB', round(properties.total_memory / 2**30, 1))
    report.row('TB/s of a copy', copy_bandwidth(plan) / 1e12)
    report.row('CPU cores', len(os.sched_getaffinity(0)))
    report.row('system', platform.platform())
    report.row('C compiler', compiler())
    report.row('commit', commit())
    report.row('torch', torch.__version__)
    report.row('triton', triton.__version__)
    for name in PACKAGES:
        report.row(name, installed(name))


def compiler() -> str:
    """Triton builds what launches a kernel with it, and with Python's headers."""
    candidates = filter(None, (os.environ.get('CC'), 'clang', 'gcc', 'cc'))
    found = next(filter(None, map(shutil.which, candidates)), None)
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if found and header.exists():
        return found
    return f'{found or "none"}, Python.h {"found" if header.exists() else "missing"}'


def commit() -> str:
    command = 'git', 'describe', '--always', '--dirty'
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError:
        return 'unknown: git is not installed'
    return found.stdout.strip() or 'unknown'


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return 'not installed'
