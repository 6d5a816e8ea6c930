"""The stages of benchmarks/gpu.sh, and --device cuda of the other benchmarks.

    python benchmarks/gpu.py STAGE FOLDER [--rehearse]

Writes FOLDER/STAGE.md, and STAGE.jsonl with an object for each row of a table, while it
prints. Exits with 77 where it needs what is not installed, and says so.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from on_gpu import missing
from on_gpu.report import Report

SCAN_SHAPES = (8, 1152, 1569), (8, 384, 3137), (1, 1152, 12545)
FRAMES = 8, 16, 32, 64
PEERS = 'mamba_ssm', 'chunked', 'loops', 'compiled'
MODULES = {
    'machine': 'machine',
    'correctness': 'correctness',
    'scan': 'scan',
    'model': 'model',
    'profile': 'kernels',
    'tests': 'suite',
    **{name: 'scan' for name in PEERS},
    'autotune': 'suite',
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('stage', choices=MODULES)
    parser.add_argument('folder', type=Path)
    parser.add_argument(
        '--rehearse', action='store_true', help='on a CPU, with stand-ins for the GPU'
    )
    args = parser.parse_args()
    missing.skip_without(*missing.NEEDED, *missing.NEEDED_BY.get(args.stage, ()))
    missing.stand_in()
    import mmaction_videomambapro  # noqa: F401, I001  before torch: how threads wait
    from on_gpu import device, rehearsal

    plan = device.Plan(shapes=SCAN_SHAPES, frames=FRAMES)
    if args.rehearse:
        plan = rehearsal.begin(args.stage)
    module = import_module(f'on_gpu.{MODULES[args.stage]}')
    module.run(args.stage, Report(args.folder / args.stage), plan)


def compare_scans(shapes=SCAN_SHAPES):
    """For benchmarks/scan.py: own kernels at all shapes, then each peer."""
    from on_gpu import device, scan

    report, plan = Report(), device.Plan(shapes=shapes)
    for stage in ('scan', *PEERS):
        if scan.why_not(stage, plan) is None:
            scan.compare(stage, report, plan)


def compare_models(archs, frames=FRAMES):
    """For benchmarks/model.py."""
    from on_gpu import device, model

    model.compare(Report(), device.Plan(archs=archs, frames=frames))


if __name__ == '__main__':
    main()
