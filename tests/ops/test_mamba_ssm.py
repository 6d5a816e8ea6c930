"""The backend on mamba-ssm: its algebra, on a stand-in for the kernel."""

import sys
from types import ModuleType

import pytest
import torch

from mmaction_videomambapro.ops import mamba_ssm
from mmaction_videomambapro.ops.naive import causal_conv1d_plain, selective_scan_naive

from .helpers import ALL_FLAGS, make_inputs, run


@pytest.fixture
def kernel(monkeypatch):
    """What mamba-ssm's function computes, and refuses."""

    def selective_scan_fn(
        u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False
    ):
        assert u.dtype == delta.dtype == B.dtype == C.dtype
        weights = [x for x in (A, D, delta_bias) if x is not None]
        assert all(x.dtype == torch.float32 for x in weights)
        return selective_scan_naive(u, delta, A, B, C, D, z, delta_bias, delta_softplus)

    name = 'mamba_ssm.ops.selective_scan_interface'
    for part in ('mamba_ssm', 'mamba_ssm.ops', name, 'selective_scan_cuda'):
        monkeypatch.setitem(sys.modules, part, ModuleType(part))
    sys.modules[name].selective_scan_fn = selective_scan_fn


@pytest.mark.parametrize('groups', [None, 2])
@pytest.mark.parametrize('softplus', [False, True])
@pytest.mark.parametrize('flags', ALL_FLAGS, ids=str)
def test_equals_definition(kernel, flags, softplus, groups):
    inputs = make_inputs(2, 6, 15, 3, groups, dtype=torch.float32)
    if not softplus:
        inputs['delta'], inputs['delta_bias'] = torch.rand(2, 6, 15), torch.rand(6)
    flags = dict(flags, delta_softplus=softplus)
    expected = run(selective_scan_naive, inputs, torch.float64, **flags)
    found = run(mamba_ssm.selective_scan_mamba_ssm, inputs, **flags)
    for name in expected:
        error = (found[name] - expected[name]).norm() / expected[name].norm()
        assert error < 5e-6, name


@pytest.mark.parametrize('left_out', ['D', 'z', 'delta_bias'])
def test_what_may_be_left_out(kernel, left_out):
    inputs = make_inputs(1, 4, 9, 2, dtype=torch.float32)
    del inputs[left_out]
    flags = dict(delta_softplus=True, residual=True, masked=True)
    torch.testing.assert_close(
        mamba_ssm.selective_scan_mamba_ssm(**inputs, **flags),
        selective_scan_naive(**inputs, **flags),
    )


def test_a_package_without_the_kernel_is_not_enough(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mamba_ssm', ModuleType('mamba_ssm'))
    monkeypatch.setitem(sys.modules, 'selective_scan_cuda', None)
    reason = mamba_ssm._missing.__wrapped__()
    assert 'MAMBA_KEEP_CUDA_BUILD=TRUE pip install' in reason


def test_is_not_for_cpus():
    assert 'it is for CUDA' in mamba_ssm.why_not(torch.ones(1), 4)


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('installed', [False, True])
def test_convolution(monkeypatch, reverse, installed):
    def causal_conv1d_fn(x, weight, bias=None, activation=None):
        calls.append(weight.shape)
        return causal_conv1d_plain(x, weight, bias, activation, False)

    calls = []
    for part in ('causal_conv1d', 'causal_conv1d_cuda'):
        monkeypatch.setitem(sys.modules, part, ModuleType(part) if installed else None)
    if installed:
        sys.modules['causal_conv1d'].causal_conv1d_fn = causal_conv1d_fn
    mamba_ssm._has_conv1d.cache_clear()
    x, weight, bias = torch.randn(2, 6, 15), torch.randn(6, 4), torch.randn(6)
    found = mamba_ssm.causal_conv1d_mamba_ssm(x, weight, bias, 'silu', reverse)
    mamba_ssm._has_conv1d.cache_clear()
    expected = causal_conv1d_plain(x, weight, bias, 'silu', reverse)
    torch.testing.assert_close(found, expected)
    assert bool(calls) == installed


@pytest.mark.parametrize('u_type', [torch.float32, torch.bfloat16])
def test_mixtures_of_types(kernel, u_type):
    """The kernel takes one type of tokens; the result is of u's."""
    inputs = make_inputs(2, 6, 15, 3, dtype=torch.float32)
    inputs.update(u=inputs['u'].to(u_type), B=inputs['B'].bfloat16())
    flags = dict(masked=True, residual=True, delta_softplus=True)
    found = mamba_ssm.selective_scan_mamba_ssm(**inputs, **flags)
    assert found.dtype == u_type
    expected = selective_scan_naive(**inputs, **flags)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
