"""The CPU kernels of the scan against its definition."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_videomambapro.ops import ScanInputs, bidirectional_scan, selective_scan
from mmaction_videomambapro.ops.cpu import scan_operator, threads
from mmaction_videomambapro.ops.naive import selective_scan_naive

from ..helpers import (
    ALL_FLAGS,
    EXTREMES,
    NAMES,
    OUTPUTS,
    PRECISION,
    make_inputs,
    relative_error,
    restride,
    run,
)

pytestmark = pytest.mark.base
SUMS = dict(D=1, delta_bias=0.1, A=0.1)  # at least the size of such a sum's terms


@settings(max_examples=120)
@given(
    batch=st.integers(1, 3),
    channels=st.sampled_from([1, 3, 15, 16, 17, 40]),
    length=st.integers(1, 80),
    states=st.sampled_from([1, 2, 8, 9, 16, 17, 24]),
    groups=st.sampled_from([None, 1, 2, 3]),
    flags=st.sampled_from(ALL_FLAGS),
    softplus=st.booleans(),
    optional=st.sets(st.sampled_from(['D', 'z', 'delta_bias'])),
    layouts=st.lists(
        st.sampled_from(['channel_last', 'channel_major', 'gaps', 'strided']),
        min_size=5,
        max_size=5,
    ),
    dtype=st.sampled_from(list(PRECISION)),
    seed=st.integers(0, 999),
)
def test_equals_definition(
    batch, channels, length, states, groups, flags, softplus, optional, layouts, dtype,
    seed,
):  # fmt: skip
    torch.manual_seed(seed)
    inputs = make_inputs(batch, channels * (groups or 1), length, states, groups)
    inputs = {k: v for k, v in inputs.items() if k in optional or k in NAMES[:5]}
    if not softplus:  # some steps are negative, and states grow
        for name, factor in dict(delta=4, delta_bias=4, A=200).items():
            if name in inputs:
                inputs[name] = inputs[name] / factor
    inputs = {k: v.to(dtype) for k, v in inputs.items()}
    flags = dict(flags, delta_softplus=softplus)
    expected = run(selective_scan_naive, inputs, torch.float64, **flags)
    rounded = run(selective_scan_naive, inputs, **flags)
    for name, layout in zip(('u', 'delta', 'B', 'C', 'z'), layouts):
        if name in inputs:
            inputs[name] = restride(inputs[name], layout)
    found = run(scan_operator.run, inputs, **flags)
    for name in ('y', *inputs):
        assert found[name].dtype == dtype
        # a sum over all tokens may come to almost nothing: then the usual precision is
        # that of its terms, or what the definition reaches in this type
        scale = expected[name].norm().clamp(min=SUMS.get(name, 1e-6))
        allowed = (rounded[name] - expected[name]).norm() / scale * 10
        allowed = max(allowed, PRECISION[dtype][name != 'y'])
        assert (found[name] - expected[name]).norm() / scale <= allowed, name


@pytest.mark.parametrize('states', [48, 64])
@pytest.mark.parametrize('flags', [ALL_FLAGS[0], ALL_FLAGS[-1]], ids=str)
def test_many_states(states, flags):
    inputs = make_inputs(1, 20, 50, states)
    flags = dict(flags, delta_softplus=True)
    expected = run(selective_scan_naive, inputs, **flags)
    found = run(scan_operator.run, inputs, **flags)
    for name in OUTPUTS:
        assert relative_error(found[name], expected[name]) < 1e-13


@pytest.mark.parametrize('softplus', [False, True])
@pytest.mark.parametrize('flags', ALL_FLAGS, ids=str)
def test_gradcheck(flags, softplus):
    inputs = make_inputs(2, 3, 4, 2)
    inputs['A'] /= 100  # without softplus some steps are negative and states grow
    inputs = [x.requires_grad_() for x in inputs.values()]

    def scan(*args):
        return scan_operator.run(*args, delta_softplus=softplus, **flags)

    assert torch.autograd.gradcheck(scan, inputs)


@pytest.mark.parametrize('case', EXTREMES)
@pytest.mark.parametrize('length', [1, 37])
def test_extremes(case, length):
    torch.manual_seed(0)
    inputs = make_inputs(2, 5, length, 4, dtype=torch.float32)
    for name, change in EXTREMES[case].items():
        inputs[name] = change(inputs[name])
    for flags in ALL_FLAGS:
        flags = dict(flags, delta_softplus=True)
        found = run(scan_operator.run, inputs, **flags)
        single = run(selective_scan_naive, inputs, **flags)
        double = run(selective_scan_naive, inputs, torch.float64, **flags)
        for name in OUTPUTS:
            # where the definition overflows in float32 nothing is asked
            finite = single[name].isfinite() & (double[name].abs() < 3e38)
            x, y, exact = (r[name][finite].double() for r in (found, single, double))
            scale = exact.norm().clamp(min=1e-35)
            assert x.isfinite().all(), (name, flags)
            allowed = max(1e-5, 3 * ((y - exact).norm() / scale).item())
            assert (x - exact).norm() / scale <= allowed, (name, flags)


def test_nan_is_not_hidden():
    for name in NAMES:
        inputs = make_inputs(1, 20, 40, 4, dtype=torch.float32)
        inputs[name][(0,) * inputs[name].ndim] = float('nan')
        y = scan_operator.run(**inputs, delta_softplus=True)
        expected = selective_scan_naive(**inputs, delta_softplus=True)
        assert torch.equal(y.isnan(), expected.isnan()), name


def both_directions(inputs, backward, scan=None, **flags):
    z = inputs.pop('z')
    names = ScanInputs._fields
    forward = ScanInputs(**{k: inputs[k] for k in names})
    backward = ScanInputs(**{k: backward[k] for k in names})
    if scan is None:
        return bidirectional_scan(forward, backward, z, True, **flags)
    masked = flags.pop('masked')
    y = scan(**forward._asdict(), delta_softplus=True, **flags)
    y = y + scan(
        **backward._asdict(), delta_softplus=True, masked=masked, reverse=True, **flags
    )
    return y * torch.nn.functional.silu(z)


@pytest.mark.parametrize('backend', ['llvm', 'chunked'])
@pytest.mark.parametrize('shared', [False, True])
@pytest.mark.parametrize('residual', [False, True])
@pytest.mark.parametrize('masked', [False, True])
def test_both_directions(backend, shared, residual, masked, monkeypatch):
    """Their gated sum, with a parameter of one's own or the same for both."""
    monkeypatch.setenv('MMACTION_VIDEOMAMBAPRO_SCAN', backend)
    first, second = (make_inputs(2, 20, 40, 5) for _ in range(2))
    if shared:
        second = {**first, 'A': second['A']}
    flags = dict(residual=residual, masked=masked)
    results = []
    for scan in (None, selective_scan_naive):
        tensors = [*first.values(), *second.values()]
        leaves = {id(x): x.clone().requires_grad_() for x in tensors}
        a, b = (
            {k: leaves[id(x)] for k, x in inputs.items()} for inputs in (first, second)
        )
        y = both_directions(a, b, scan, **flags)
        y.square().sum().backward()
        grads = [x.grad for x in leaves.values() if x.grad is not None]
        results.append([y, *grads])
    assert len(results[0]) == len(results[1])
    for x, expected in zip(*results):
        torch.testing.assert_close(x, expected)


def test_directions_of_different_size_are_refused():
    first, second = make_inputs(2, 4, 11, 3), make_inputs(2, 4, 12, 3)
    first.pop('z')
    with pytest.raises(ValueError, match='both directions must be of one size'):
        both_directions({**first, 'z': None}, second)


def test_same_again_for_a_number_of_threads(two_threads):
    inputs = make_inputs(1, 80, 100, 16, dtype=torch.float32)
    first = run(scan_operator.run, inputs, delta_softplus=True)
    for _ in range(5):
        again = run(scan_operator.run, inputs, delta_softplus=True)
        assert all(torch.equal(first[name], again[name]) for name in OUTPUTS)
    torch.set_num_threads(1)
    alone = run(scan_operator.run, inputs, delta_softplus=True)
    assert torch.equal(first['y'], alone['y'])
    for name in OUTPUTS:
        torch.testing.assert_close(first[name], alone[name])


def test_threads_without_openmp(two_threads, monkeypatch):
    inputs = make_inputs(1, 80, 100, 16, dtype=torch.float32)
    expected = run(scan_operator.run, inputs, delta_softplus=True)
    monkeypatch.setattr(threads, '_openmp', lambda: None)
    for _ in range(20):
        found = run(scan_operator.run, inputs, delta_softplus=True)
        assert all(torch.equal(found[name], expected[name]) for name in OUTPUTS)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')
def test_after_a_fork(two_threads):
    """As in the workers of a data loader, which inherit threads that do not run."""
    inputs = make_inputs(1, 80, 100, 16, dtype=torch.float32)
    expected = scan_operator.run(**inputs, delta_softplus=True)
    child = os.fork()
    if child == 0:
        y = scan_operator.run(**inputs, delta_softplus=True)
        os._exit(0 if torch.equal(y, expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_inference_mode_and_no_grad():
    inputs = make_inputs(1, 20, 30, 4)
    leaves = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    expected = scan_operator.run(**leaves, delta_softplus=True)
    assert expected.requires_grad
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            y = scan_operator.run(**leaves, delta_softplus=True)
        assert not y.requires_grad
        assert torch.equal(y, expected)


def test_choice(monkeypatch):
    inputs = make_inputs(1, 2, 3, 65)
    y = selective_scan(**inputs)  # too many states for the kernels: chunked
    torch.testing.assert_close(y, selective_scan_naive(**inputs))
    monkeypatch.setenv('MMACTION_VIDEOMAMBAPRO_SCAN', 'llvm')
    with pytest.raises(ValueError, match='llvm cannot serve: it takes up to 64 states'):
        selective_scan(**inputs)
