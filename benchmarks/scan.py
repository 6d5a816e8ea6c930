"""Both directions of a mixer's scan, against other ways to compute it.

    python benchmarks/scan.py                    # four shapes: 6 minutes
    python benchmarks/scan.py --shape 1 1152 1569
    python benchmarks/scan.py --device cuda

Others scan in one direction: theirs is counted twice. ``mambapy`` and
``transformers`` take part where they are installed. Cycles are of 2.6 GHz, per
update of one state, per core.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from common import header, machine, megabytes, milliseconds, row
from peers import (
    cumulative_chunks,
    mambapy_pscan,
    published_pair,
    transformers_slow_path,
)

from mmaction_videomambapro.engine.memory import keep_freed_memory
from mmaction_videomambapro.ops import BACKENDS, ScanInputs, bidirectional_scan
from mmaction_videomambapro.ops.cpu import threads
from mmaction_videomambapro.ops.cpu.compiler import this_cpu
from mmaction_videomambapro.ops.cpu.functions import exp2
from mmaction_videomambapro.ops.cpu.lanes import LANES, Kernel

SHAPES = (1, 384, 1569), (1, 1152, 1569), (2, 384, 3137), (1, 1152, 12545)
STATES = 16
HERTZ = 2.6e9
LARGEST_UNCHUNKED = 64e6  # states of a direction: every one of them is kept


def make_inputs(batch, channels, length):
    """Both directions' inputs, laid out as by the mixer, and the gate."""

    def tokens(last):
        return torch.randn(batch, length, last).mT.requires_grad_()

    def direction():
        A = torch.arange(1, STATES + 1.0).log() + torch.randn(channels, STATES) / 10
        return ScanInputs(
            u=tokens(channels),
            delta=(tokens(channels) / 2).detach().requires_grad_(),
            A=(-A.exp()).requires_grad_(),
            B=tokens(STATES),
            C=tokens(STATES),
            D=torch.randn(channels, requires_grad=True),
            delta_bias=(torch.rand(channels) * 2 - 4).requires_grad_(),
        )

    return direction(), direction(), tokens(channels)


def floor(updates):
    """A scan's exponentials, products and sums, without its memory."""
    fields = 'counter', 'tasks', 'turns', 'y'
    k = Kernel('floor', fields, features=this_cpu().features)
    h = [k.variable(1) for _ in range(STATES)]
    with k.parallel_loop(k.counter, k.tasks) as task:
        step, y = k.variable(0.1), k.variable(0)
        with k.loop(k.turns):
            dt = step.get()
            for n, x in enumerate(h):
                p = exp2(dt, k.lanes(-1.0 - n), in_range=True) * x.get()
                x.set(dt.fma(dt, p))
                y.set(dt.fma(x.get(), y.get()))
            step.set(dt * 0.999)
        k.store(k.y + task * k.size, y.get())
    kernel, tasks = this_cpu().compile(k), 16
    y = torch.empty(tasks, LANES)
    turns = int(updates / (LANES * STATES * tasks))

    def run():
        counter = torch.zeros(1, dtype=torch.int64)
        params = torch.tensor([counter.data_ptr(), tasks, turns, y.data_ptr()])
        threads.run(kernel, params.data_ptr(), tasks)

    return run


def implementations(forward, backward, z, size, published_backward):
    """Name, call, how often it runs for two directions, whether with gradients."""
    inputs = (*forward, z)

    def both():
        flags = dict(delta_softplus=True, residual=True, masked=True)
        return bidirectional_scan(forward, backward, z, **flags)

    def definition():
        u, delta, A, B, C, D, delta_bias = forward
        scan = BACKENDS['naive'].run
        return scan(u, delta, A, B, C, D, z, delta_bias, True, residual=True)

    def chunked():
        u, delta, A, B, C, D, delta_bias = forward
        scan = BACKENDS['chunked'].run
        return scan(u, delta, A, B, C, D, z, delta_bias, True, residual=True)

    yield 'this project, llvm', both, 1, True
    yield 'this project, chunked', chunked, 2, True
    if size > LARGEST_UNCHUNKED:
        return
    yield 'this project, naive', definition, 2, True
    yield 'chunks of 16, cumulative sums', partial(cumulative_chunks, *inputs), 2, True
    peers = dict(mambapy=mambapy_pscan, transformers=transformers_slow_path)
    for name, scan in peers.items():
        try:
            __import__(name)
        except ImportError:
            continue
        indexed = scan is transformers_slow_path  # backward quadratic, as published
        yield scan.__name__.replace('_', ' '), partial(scan, *inputs), 2, not indexed
    loop = partial(published_pair, forward, backward, z)
    yield 'published loops', loop, 1, published_backward


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--shape', nargs=3, type=int, metavar=('B', 'D', 'L'), help='this one alone'
    )
    parser.add_argument(
        '--published-backward',
        action='store_true',
        help="time the published loops' backward pass: quadratic in L, minutes",
    )
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    args = parser.parse_args()
    if args.device == 'cuda':
        import gpu

        gpu.compare_scans([args.shape] if args.shape else gpu.SCAN_SHAPES)
        return
    keep_freed_memory()
    for shape in [args.shape] if args.shape else SHAPES:
        compare(shape, args.published_backward)


def compare(shape, published_backward):
    """Print a table of all implementations at one shape."""
    torch.manual_seed(0)
    batch, channels, length = shape
    forward, backward, z = make_inputs(*shape)
    leaves = [*forward, *backward, z]
    updates = batch * channels * length * STATES
    dy = torch.randn(batch, length, channels).mT
    cycles = 1e-3 * torch.get_num_threads() * HERTZ / (2 * updates)  # a millisecond

    print(f'\n(B, D, L) = {tuple(shape)}, N = {STATES}: {machine()}\n')
    columns = 'cycles', 'MB', 'times llvm'
    header('both directions', 'forward ms', *columns, 'with backward ms', *columns)
    run = floor(2 * updates)
    ms = milliseconds(run)
    row('floor: arithmetic alone', ms, ms * cycles, *['' for _ in range(6)])
    first = {}
    for name, scan, times, backward_too in implementations(
        forward, backward, z, updates, published_backward
    ):

        def infer(scan=scan):
            with torch.no_grad():
                return scan()

        def train(scan=scan):
            return torch.autograd.grad(scan(), leaves, dy, allow_unused=True)

        cells = []
        for pass_, function in dict(forward=infer, train=train).items():
            if pass_ == 'train' and not backward_too:
                cells += ['', '', '', '']
                continue
            ms = times * milliseconds(function)
            base = first.setdefault(pass_, ms)
            cells += [ms, ms * cycles, megabytes(function), ms / base]
        row(name, *cells)


if __name__ == '__main__':
    main()
