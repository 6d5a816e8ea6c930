"""Two trainings on the same two cores: how much longer than one alone.

    python benchmarks/shared_cores.py
    python benchmarks/shared_cores.py --processes 3 --cores 0 1 2 3

Prints the time of one training alone, of several side by side, and their ratio, which
is their number at best: as the package has threads wait, and as OpenMP does by default.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import mmaction_videomambapro  # noqa: F401  before torch: it decides how threads wait

WAITING = {
    'asleep, as the package asks': dict(OMP_WAIT_POLICY='PASSIVE'),
    # what GNU OpenMP takes without a word about it, and Intel's in ms
    'busy, as OpenMP has it': dict(GOMP_SPINCOUNT='300000', KMP_BLOCKTIME='200'),
}
VARIABLES = 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME', 'OMP_NUM_THREADS'


def train(steps: int) -> None:
    """Train on noise; wait for a line before and print the seconds after."""
    import time

    import torch

    from mmaction_videomambapro.models import VideoMambaPro

    torch.manual_seed(0)
    arch = dict(embed_dims=64, depth=6)
    net = VideoMambaPro(arch=arch, img_size=64, patch_size=8, num_frames=8)
    optimizer = torch.optim.AdamW(net.parameters())
    clips = torch.randn(4, 3, 8, 64, 64)

    def step():
        optimizer.zero_grad()
        net(clips).square().sum().backward()
        optimizer.step()

    for _ in range(3):
        step()
    print('ready', flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    print(time.perf_counter() - start, flush=True)


def seconds(processes: int, steps: int, waiting: dict[str, str]) -> float:
    """Of the slowest of several trainings that start together."""
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    command = sys.executable, __file__, '--train', str(steps)
    trainings = [
        subprocess.Popen(
            command,
            env={**environment, **waiting},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(processes)
    ]
    for training in trainings:
        while training.stdout.readline().strip() not in ('ready', ''):
            pass
    for training in trainings:
        training.stdin.write('\n')
        training.stdin.flush()
    outputs = [training.communicate()[0] for training in trainings]
    if any(training.returncode for training in trainings):
        raise SystemExit('a training failed')
    return max(float(output.split()[-1]) for output in outputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--cores', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--train', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        train(args.train)
        return
    os.sched_setaffinity(0, args.cores)  # children inherit it
    for name, waiting in WAITING.items():
        alone, together = (
            seconds(count, args.steps, waiting) for count in (1, args.processes)
        )
        print(
            f'threads wait {name}: one training {alone:.1f} s, {args.processes} side '
            f'by side {together:.1f} s, {together / alone:.2f} x',
            flush=True,
        )


if __name__ == '__main__':
    main()
