"""Both directions of a mixer's scan: the Triton kernels, and others beside them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator

import torch
from peers import cumulative_chunks, published_pair

from mmaction_videomambapro.ops import BACKENDS, ScanInputs, bidirectional_scan

from . import missing, model
from .device import Plan, copy_bandwidth, forced, heading, megabytes, milliseconds
from .report import Report

STATES = 16
Scan = tuple[str, Callable, bool]  # name, call, whether with gradients


def run(stage: str, report: Report, plan: Plan) -> None:
    """Own kernels in the stage 'scan'; a peer, with own kernels to compare, else."""
    if reason := why_not(stage, plan):
        missing.skip(reason)
    compare(stage, report, plan)
    if stage == 'mamba_ssm' and not missing.without(*missing.MODEL):
        model.compare(report, plan, 'mamba_ssm')


def why_not(stage: str, plan: Plan) -> str | None:
    """The reason why a peer cannot take part, or None."""
    if stage != 'mamba_ssm':
        return None
    return BACKENDS[stage].why_not(torch.ones(1, device=plan.device), STATES)


def compare(stage: str, report: Report, plan: Plan) -> None:
    """Print a table for each shape and type."""
    report.line(heading(plan))
    bandwidth = copy_bandwidth(plan)
    report.line(f'\nA copy moves {bandwidth / 1e12:.2f} TB/s.')
    for shape in plan.shapes:
        if stage in ('loops', 'compiled') and shape[2] > plan.longest_peer:
            continue
        for dtype in (torch.float32, torch.bfloat16):
            _compare(stage, report, plan, tuple(shape), dtype, bandwidth)


def _compare(stage, report, plan, shape, dtype, bandwidth):
    torch.manual_seed(0)
    forward, backward, z = inputs = make_inputs(shape, dtype, plan.device)
    leaves = [*forward, *backward, z]
    dy = torch.randn_like(z)
    size = sum(x.numel() * x.element_size() for x in leaves)
    output = dy.numel() * dy.element_size()
    # each tensor once: forward reads the inputs and writes y; backward reads both
    # again, with the gradient of y, and writes a gradient for each input
    floors = size + output, 3 * size + 3 * output

    kind = str(dtype).removeprefix('torch.')
    columns = 'ms', 'TB/s', 'of the floor', 'MB', 'times triton'
    report.table(
        f'(B, D, L) = {shape}, N = {STATES}, {kind}, both directions',
        *columns,
        *(f'with backward {name}' for name in columns),
    )
    base = {}
    for name, scan, backward_too in _scans(stage, inputs, plan):

        def infer(scan=scan):
            with torch.no_grad():
                return scan()

        def train(scan=scan):
            return torch.autograd.grad(scan(), leaves, dy, allow_unused=True)

        cells = []
        functions = dict(forward=infer, train=train if backward_too else None)
        for floor, (key, function) in zip(floors, functions.items()):
            if function is None:
                continue
            try:
                ms, mb = milliseconds(function), megabytes(function)
            except Exception as error:  # a peer that fails is a result as well
                if name == OWN:
                    raise
                traceback.print_exc()
                cells += [type(error).__name__, *('',) * 4]
                continue
            achieved = floor / (1e-3 * ms)
            ratio = ms / base.setdefault(key, ms)
            cells += [ms, achieved / 1e12, achieved / bandwidth, mb, ratio]
        report.row(name, *cells)


def make_inputs(shape, dtype, device):
    """Both directions' inputs, laid out as by the mixer, and the gate."""
    batch, channels, length = shape

    def tokens(last):
        x = torch.randn(batch, length, last, device=device, dtype=dtype)
        return x.mT.requires_grad_()

    def direction():
        A = -torch.arange(1.0, STATES + 1, device=device).repeat(channels, 1)
        D = torch.ones(channels, device=device)
        bias = torch.rand(channels, device=device) * 2 - 4
        A, D, bias = (x.requires_grad_() for x in (A, D, bias))
        inputs = tokens(channels), tokens(channels), A
        return ScanInputs(*inputs, tokens(STATES), tokens(STATES), D, bias)

    return direction(), direction(), tokens(channels)


def both_directions(forward, backward, z):
    """As a mixer of VideoMambaPro scans."""
    flags = dict(delta_softplus=True, residual=True, masked=True)
    return bidirectional_scan(forward, backward, z, **flags)


def with_backend(name: str, inputs):
    with forced(name):
        return both_directions(*inputs)


OWN = 'this project, triton'


def _scans(stage: str, inputs, plan: Plan) -> Iterator[Scan]:
    yield OWN, lambda: with_backend('triton', inputs), True
    if stage != 'scan':
        yield from PEERS[stage](inputs, plan)


def _mamba_ssm(inputs, plan):
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    forward, backward, z = inputs

    def two_plain_scans():
        """As VideoMamba calls it: no residual state, no mask, flipped copies."""
        u, delta, A, B, C, D, bias = (
            x.contiguous() if x.ndim > 2 else x for x in forward
        )
        y = selective_scan_fn(u, delta, A, B, C, D, z, bias, True)
        u, delta, A, B, C, D, bias = (x.flip(-1) if x.ndim > 2 else x for x in backward)
        other = selective_scan_fn(u, delta, A, B, C, D, z.flip(-1), bias, True)
        return y + other.flip(-1)

    yield 'mamba-ssm, two plain scans and flips', two_plain_scans, True
    yield 'this project, mamba_ssm', lambda: with_backend('mamba_ssm', inputs), True


def _chunked(inputs, plan):
    yield 'this project, chunked', lambda: with_backend('chunked', inputs), True


def _floats(inputs):
    """As the published code scans, whatever type comes in."""
    *directions, z = inputs
    return *([x.float() for x in d] for d in directions), z.float()


def _loops(inputs, plan):
    z = inputs[2]
    yield 'published loops', lambda: published_pair(*_floats(inputs)).to(z.dtype), False


def _compiled(inputs, plan):
    compiled = torch.compile(cumulative_chunks, dynamic=False, backend=plan.compiler)

    def two():
        forward, backward, z = _floats(inputs)
        return (compiled(*forward, z) + compiled(*backward, z)).to(inputs[2].dtype)

    yield 'torch.compile of cumulative chunks, twice', two, True


PEERS = {
    'mamba_ssm': _mamba_ssm,
    'chunked': _chunked,
    'loops': _loops,
    'compiled': _compiled,
}
