"""The project's own tests of its kernels, compiled for this GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .device import Plan, heading
from .report import Report

ROOT = Path(__file__).parents[2]
SLOW = 'compiled_for_speed'  # max-autotune takes minutes: a stage of its own
NO_TESTS = 5  # pytest's exit code


def run(stage: str, report: Report, plan: Plan) -> None:
    report.line(heading(plan))
    result = report.path.with_suffix('.txt')
    with open(result, 'w') as file:
        command = command_of(stage, plan)
        code = subprocess.run(command, cwd=ROOT, stdout=file, stderr=file).returncode
    lines = result.read_text().splitlines()
    for line in lines:
        if line.startswith(('FAILED', 'ERROR')):
            report.line(f'- {line}')
    report.line(lines[-1].strip('= ') if lines else 'pytest printed nothing')
    if code not in (0, NO_TESTS):
        sys.exit(f'pytest exited with {code}, see {result.name}')


def command_of(stage: str, plan: Plan) -> list[str]:
    """Pytest on what the stage takes, without any option of the project's own."""
    options = ['-o', 'addopts=', '-p', 'no:cacheprovider', '-v']
    workers = min(len(os.sched_getaffinity(0)), plan.workers)
    if workers > 1 and find_spec('xdist'):  # most of the time goes into compiling
        options += ['-n', str(workers), '--dist', 'worksteal']
    which = SLOW if stage == 'autotune' else f'not {SLOW}'
    return [sys.executable, '-m', 'pytest', *options, '-k', which, *plan.tests]
