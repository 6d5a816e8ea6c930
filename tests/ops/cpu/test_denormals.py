"""Kernels take denormal numbers for zero; whoever calls them computes as before."""

import pytest
import torch

from mmaction_videomambapro.ops.cpu import conv1d_operator, scan_operator
from mmaction_videomambapro.ops.cpu.compiler import this_cpu
from mmaction_videomambapro.ops.naive import causal_conv1d_plain, selective_scan_naive

from ..helpers import OUTPUTS, make_inputs, run

pytestmark = [
    pytest.mark.base,
    pytest.mark.usefixtures('two_threads'),
    pytest.mark.skipif(
        not this_cpu().features.mxcsr, reason='x86 alone is slow with denormal numbers'
    ),
]


def count_denormals(x):
    return ((x != 0) & (x.abs() < torch.finfo(x.dtype).tiny)).sum().item()


def fading(dtype):
    """Inputs whose first token alone says anything, and is forgotten."""
    inputs = make_inputs(2, 40, 100, 4, dtype=dtype)
    inputs['A'].fill_(-1 if dtype == torch.float32 else -8)
    inputs['delta'].fill_(1)
    inputs['delta_bias'].zero_()
    inputs['u'][..., 1:] = 0
    return inputs


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_fading_states(dtype):
    inputs = fading(dtype)
    expected = run(selective_scan_naive, inputs, delta_softplus=True)
    found = run(scan_operator.run, inputs, delta_softplus=True)
    for name in ('y', 'delta', 'C'):
        assert count_denormals(expected[name]), name
    for name in OUTPUTS:
        assert not count_denormals(found[name]), name
    # other numbers are as precise as ever, however small
    nothing = 10 * torch.finfo(dtype).tiny
    torch.testing.assert_close(found['y'], expected['y'], rtol=1e-3, atol=nothing)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('activation', [None, 'silu'])
def test_convolution_of_little(dtype, activation):
    little = torch.finfo(dtype).tiny ** 0.75
    inputs = dict(
        x=torch.randn(2, 50, 40, dtype=dtype).mT * little,
        weight=torch.randn(40, 4, dtype=dtype) * little ** (1 / 3) / 10,
    )
    results = []
    for convolution in (causal_conv1d_plain, conv1d_operator.run):
        x, weight = (v.clone().requires_grad_() for v in inputs.values())
        y = convolution(x, weight, None, activation, False)
        (dx,) = torch.autograd.grad(y, x, inputs['x'])
        results.append((y, dx))
    for expected, found in zip(*results):
        assert count_denormals(expected)
        assert not count_denormals(found)


def test_denormal_inputs():
    inputs = make_inputs(2, 40, 100, 4, dtype=torch.float32)
    inputs['u'].fill_(1e-40)
    inputs['D'].fill_(1e30)
    found = run(scan_operator.run, inputs, delta_softplus=True)
    assert not found['y'].any()
    weight = torch.full((40, 4), 1e30)
    assert not conv1d_operator.run(inputs['u'], weight, None, None, False).any()


def all_threads_have_denormals():
    """In PyTorch's operators, which these run on as well."""
    return bool(torch.full((1 << 20,), 1e-30).mul(1e-10).all())


def use_all_kernels():
    run(scan_operator.run, fading(torch.float32), delta_softplus=True)
    x, weight = torch.randn(2, 50, 40).mT, torch.randn(40, 4, requires_grad=True)
    conv1d_operator.run(x, weight, None, 'silu', False).sum().backward()


def test_threads_are_left_as_they_were():
    assert all_threads_have_denormals()
    use_all_kernels()
    assert all_threads_have_denormals()
    torch.set_flush_denormal(True)
    try:
        use_all_kernels()
        assert not torch.tensor(1e-30).mul(1e-10)  # in this thread
    finally:
        torch.set_flush_denormal(False)
