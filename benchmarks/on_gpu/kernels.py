"""Where a call's time goes: each kernel, as the profiler sees it."""

from __future__ import annotations

import json
import tempfile
from itertools import groupby
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from mmaction_videomambapro.ops import causal_conv1d

from . import missing, model
from .device import Plan, forced, heading, milliseconds
from .report import Report
from .scan import both_directions, make_inputs

CALLS = 5
LINES = 20
# of the profiler's trace: what a kernel took of the GPU
DETAILS = {
    'registers': 'registers per thread',
    'shared bytes': 'shared memory',
    'grid': 'grid',
    'block': 'block',
}


def run(stage: str, report: Report, plan: Plan) -> None:
    report.line(heading(plan))
    with forced('triton'):
        for shape in plan.shapes:
            for name, function in _scans(shape, plan).items():
                _profile(report, plan, f'{shape}, bfloat16: {name}', function)
        if absent := missing.without(*missing.MODEL):
            report.line(f'\nNo model without {", ".join(absent)}.')
            return
        arch, frames = plan.archs[0], plan.frames[0]
        clip = model.make_clip(plan, plan.clips, frames)
        net = model.make_net(plan, arch, frames)
        title = f'VideoMambaPro {arch}, {plan.clips} clips of {frames} frames'
        for name, function in zip(('test', 'train'), model.passes(net, clip)):
            _profile(report, plan, f'{title}: {name}', function)


def _scans(shape, plan):
    forward, backward, z = make_inputs(shape, torch.bfloat16, plan.device)
    leaves = [*forward, *backward, z]
    weight = torch.randn(shape[1], 4, device=plan.device, requires_grad=True)
    dy = torch.randn_like(z)

    def infer():
        with torch.no_grad():
            both_directions(forward, backward, z)

    def train():
        torch.autograd.grad(both_directions(forward, backward, z), leaves, dy)

    def convolve():
        y = causal_conv1d(forward.u, weight, activation='silu')
        torch.autograd.grad(y, (forward.u, weight), dy)

    return {
        'scan': infer,
        'scan with backward': train,
        'one convolution with backward': convolve,
    }


def _profile(report, plan, title, function):
    """The longest kernels, and how much of the time they leave the GPU idle."""
    ms = milliseconds(function)  # compiles, too
    with profile(activities=[_activity(plan)]) as trace:
        for _ in range(CALLS):
            function()
        torch.cuda.synchronize()
    report.table(title, 'calls', 'us per call', 'us in all', 'share', *DETAILS)
    events = sorted(_events(trace, plan), key=lambda event: event['name'])
    rows = []
    for name, group in groupby(events, lambda event: event['name']):
        group = list(group)
        total = sum(event['dur'] for event in group) / CALLS
        rows.append((total, name, len(group) / CALLS, group[0].get('args', {})))
    busy = sum(row[0] for row in rows)
    rows.sort(key=lambda row: -row[0])
    for total, name, calls, args in rows[:LINES]:
        details = (_plain(args.get(key, '')) for key in DETAILS.values())
        share = f'{total / busy:.0%}'
        report.row(_short(name), calls, total / calls, total, share, *details)
    rest = sum(row[0] for row in rows[LINES:])
    report.row('the rest', '', '', rest)
    report.row('all kernels', '', '', busy)
    report.row('one call, by the clock', '', '', 1e3 * ms)


def _activity(plan):
    return ProfilerActivity.CPU if plan.rehearsed else ProfilerActivity.CUDA


def _events(trace, plan):
    kinds = ('cpu_op',) if plan.rehearsed else ('kernel', 'gpu_memcpy', 'gpu_memset')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        trace.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    return [event for event in events if event.get('cat') in kinds]


def _short(name):
    """Of C++ templates, the beginning; no character that ends a cell."""
    return name.replace('|', '/')[:60]


def _plain(value):
    return ' x '.join(map(str, value)) if isinstance(value, list) else value
