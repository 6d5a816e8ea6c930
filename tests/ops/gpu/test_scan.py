"""The Triton kernels of the scan against its definition.

On a GPU they run there, compiled; else in Triton's interpreter, whose time depends on
the number of tokens and tiles: chunks are short, so that few tokens have several.
"""

import pytest
import torch

from mmaction_videomambapro.ops import ScanInputs, bidirectional_scan, gpu
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE
from mmaction_videomambapro.ops.naive import selective_scan_naive

from ..helpers import (
    ALL_FLAGS,
    DEVICE,
    EXTREMES,
    NAMES,
    PRECISION,
    make_inputs,
    restride,
    run,
)

pytestmark = pytest.mark.skipif(gpu.scan_operator is None, reason=gpu._missing)

PRECISION = {**PRECISION, torch.float32: (1e-6, 2e-6)}  # closer than all backends


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    from mmaction_videomambapro.ops.gpu import scan_ops

    monkeypatch.setattr(scan_ops, 'CHUNK', 8)


@pytest.fixture
def planned(monkeypatch):
    """Has scans divided as a test says."""
    from mmaction_videomambapro.ops.gpu import plan, scan_ops

    def use(forward, backward):
        plans = dict(plan_forward=forward, plan_backward=backward)
        for name, values in plans.items():
            fixed = plan.Plan(*values)
            monkeypatch.setattr(scan_ops, name, lambda *_, fixed=fixed: fixed)

    return use


def compare(inputs, layouts=(), **flags):
    """Output and gradients against the definition in float64."""
    dtype = inputs['u'].dtype
    expected = run(selective_scan_naive, inputs, torch.float64, **flags)
    rounded = run(selective_scan_naive, inputs, **flags)
    inputs = {k: v.to(DEVICE) for k, v in inputs.items()}
    for name, layout in zip(('u', 'delta', 'B', 'C', 'z'), layouts):
        inputs[name] = restride(inputs[name], layout)
    found = run(gpu.scan_operator.run, inputs, **flags)
    for name in ('y', *inputs):
        assert found[name].dtype == dtype
        scale = expected[name].norm().clamp(min=1e-6)
        # a sum may come to almost nothing: then no float32 has the usual precision
        allowed = (rounded[name] - expected[name]).norm() / scale * 10
        allowed = max(allowed, PRECISION[dtype][name != 'y'])
        error = (found[name].cpu() - expected[name]).norm() / scale
        assert error <= allowed, (name, error)


@pytest.mark.parametrize('flags', ALL_FLAGS, ids=str)
def test_every_flag(flags):
    """Three chunks, of which the last is not full."""
    compare(make_inputs(1, 5, 18, 3, dtype=torch.float32), delta_softplus=True, **flags)


@pytest.mark.parametrize(
    'sizes',
    [
        dict(length=1),
        dict(length=8),  # one whole chunk
        dict(length=16, states=1),
        dict(channels=33, length=9),  # one more than a tile
        dict(groups=2, channels=70, length=9),  # whose last tiles are not full
        dict(states=17, length=10),
    ],
    ids=str,
)
def test_odd_sizes(sizes):
    sizes = dict(dict(batch=1, channels=3, states=4), **sizes)
    inputs = make_inputs(**sizes, dtype=torch.float32)
    compare(inputs, delta_softplus=True, residual=True, masked=True, reverse=True)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_types(dtype):
    inputs = make_inputs(1, 5, 19, 3, dtype=dtype)
    compare(inputs, delta_softplus=True, residual=True, masked=True)


@pytest.mark.parametrize('name', ['D', 'z', 'delta_bias'])
def test_what_may_be_left_out(name):
    inputs = make_inputs(1, 3, 11, 2, dtype=torch.float32)
    inputs['delta'] /= 4  # without softplus some steps are negative: states grow
    inputs['A'] /= 200
    del inputs[name]
    compare(inputs, residual=True)


def test_any_strides():
    inputs = make_inputs(2, 3, 11, 2, dtype=torch.float32)
    layouts = 'channel_major', 'gaps', 'strided', 'gaps', 'gaps'
    compare(inputs, layouts, delta_softplus=True)


@pytest.mark.parametrize('case', EXTREMES)
def test_extremes(case):
    inputs = make_inputs(1, 3, 12, 2, dtype=torch.float32)
    for name, change in EXTREMES[case].items():
        inputs[name] = change(inputs[name])
    flags = dict(delta_softplus=True, residual=True, masked=True)
    expected = run(selective_scan_naive, inputs, torch.float64, **flags)
    definition = run(selective_scan_naive, inputs, **flags)
    found = run(
        gpu.scan_operator.run, {k: v.to(DEVICE) for k, v in inputs.items()}, **flags
    )
    for name in ('y', *NAMES):
        finite = definition[name].isfinite()
        assert found[name].cpu()[finite].isfinite().all(), name
        if expected[name].isfinite().all() and finite.all():
            scale = expected[name].norm().clamp(min=1e-30)
            allowed = (definition[name] - expected[name]).norm() / scale * 10
            error = (found[name].cpu() - expected[name]).norm() / scale
            assert error <= max(allowed, 1e-5), name


# Q, W, fours per turn and segments, forward and backward
PLANS = {
    'narrow': ((1, 1, 2, 2), (1, 1, 1, 1)),
    'wide': ((2, 4, 1, 2), (2, 4, 1, 1)),
    'many segments': ((1, 2, 1, 5), (1, 2, 2, 3)),
}


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('plan', PLANS)
def test_both_directions(plan, masked, planned, monkeypatch):
    """Five chunks, and channels that do not fill the last tile."""
    planned(*PLANS[plan])
    leaves = []
    for _ in range(2):
        inputs = make_inputs(1, 20, 37, 5, dtype=torch.float32)
        z = inputs.pop('z')
        leaves += [x.requires_grad_() for x in ScanInputs(**inputs)]
    leaves.append(z.requires_grad_())
    dy = torch.randn(1, 20, 37)

    def scan(leaves):
        flags = dict(delta_softplus=True, residual=True, masked=masked)
        forward, backward = ScanInputs(*leaves[:7]), ScanInputs(*leaves[7:14])
        y = bidirectional_scan(forward, backward, leaves[14], **flags)
        return y, *torch.autograd.grad(y, leaves, dy.to(y))

    monkeypatch.setenv(FORCE_VARIABLE, 'naive')
    expected = scan([x.detach().double().requires_grad_() for x in leaves])
    monkeypatch.setenv(FORCE_VARIABLE, 'triton')
    found = scan([x.detach().to(DEVICE).requires_grad_() for x in leaves])
    for i, (x, reference) in enumerate(zip(found, expected)):
        error = (x.cpu() - reference).norm()
        assert error <= PRECISION[torch.float32][i > 0] * reference.norm(), i


def test_one_direction_in_segments(planned):
    planned((1, 1, 1, 3), (1, 1, 1, 2))
    inputs = make_inputs(1, 5, 21, 3, dtype=torch.float32)
    compare(inputs, delta_softplus=True, residual=True, masked=True, reverse=True)


def test_same_in_every_run(planned):
    planned((1, 1, 1, 2), (1, 1, 1, 2))
    inputs = make_inputs(1, 9, 18, 3, dtype=torch.float32)
    inputs = {name: x.to(DEVICE) for name, x in inputs.items()}
    flags = dict(delta_softplus=True, residual=True)
    first, second = (run(gpu.scan_operator.run, inputs, **flags) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


class NoKernel:
    """Launches nothing."""

    def __getitem__(self, grid):
        return lambda *args, **kwargs: None


@pytest.mark.parametrize('kernel', ['segments.chunk_state', 'interleave.interleave'])
def test_unwritten_memory_shows(kernel, planned, monkeypatch):
    planned((1, 1, 1, 3), (1, 1, 1, 1))
    monkeypatch.setattr(f'{gpu.__name__}.{kernel}', NoKernel())
    inputs = make_inputs(1, 4, 18, 3, dtype=torch.float32)
    inputs = {name: x.to(DEVICE) for name, x in inputs.items()}
    assert gpu.scan_operator.run(**inputs).isnan().any()


def test_operator():
    first, second = (make_inputs(1, 3, 5, 2, dtype=torch.float32) for _ in range(2))
    z = first['z']
    tensors = [z]
    for inputs in (first, second):
        inputs.pop('z')
        tensors += ScanInputs(**inputs)
    tensors = [x.to(DEVICE) for x in tensors]
    flags = True, True, [False, True], [False, True]
    operator = gpu.scan_operator
    y, ungated, states = operator.scan(*tensors, *flags, True)
    torch.library.opcheck(operator.scan.op, (*tensors, *flags, False))
    torch.library.opcheck(
        operator.backward.op, (torch.randn_like(y), *tensors, ungated, states, *flags)
    )
