import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_videomambapro.ops import BACKENDS, chunked, selective_scan
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE
from mmaction_videomambapro.ops.naive import selective_scan_naive

from .helpers import (
    ALL_FLAGS,
    NAMES,
    ON_CPU,
    WITHOUT_FLOAT64,
    make_inputs,
    relative_error,
    run_with_gradients,
)

pytestmark = pytest.mark.base


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of a few tokens, so that short sequences have several."""
    monkeypatch.setattr(chunked, '_CHUNK_BYTES', 4096)


@pytest.mark.parametrize('backend', WITHOUT_FLOAT64)
@pytest.mark.parametrize('name', ['plain', 'residual', 'residual_masked'])
def test_golden(golden, backend, name, small_chunks):
    data = golden('selective_scan')
    flags = {flag: flag in name for flag in ('residual', 'masked')}
    result = run_with_gradients(
        BACKENDS[backend].run, data['inputs'], data['weight'], **flags
    )
    expected = data['results'][name]
    assert relative_error(result['out'], expected['out']) <= 2e-6
    for key, grad in expected['grads'].items():
        assert relative_error(result[key], grad) <= 1e-5, key


@pytest.mark.parametrize('flags', ALL_FLAGS, ids=str)
def test_definition_gradients_are_right(flags):
    inputs = [x.requires_grad_() for x in make_inputs(2, 3, 4, 2).values()]

    def scan(*args):
        return selective_scan_naive(*args, delta_softplus=True, **flags)

    assert torch.autograd.gradcheck(scan, inputs)


@settings(max_examples=60)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    length=st.integers(1, 40),
    states=st.integers(1, 9),
    groups=st.sampled_from([None, 1, 2, 3]),
    flags=st.sampled_from(ALL_FLAGS),
    softplus=st.booleans(),
    optional=st.sets(st.sampled_from(['D', 'z', 'delta_bias'])),
    chunk=st.sampled_from([1, 999, 5000, 1 << 20]),
)
def test_chunked_equals_definition(
    batch, heads, length, states, groups, flags, softplus, optional, chunk
):
    inputs = make_inputs(batch, heads * (groups or 1), length, states, groups)
    if not softplus:  # a step is positive
        inputs['delta'] = inputs['delta'].abs()
        inputs['delta_bias'] = inputs['delta_bias'].abs()
    inputs = {k: v for k, v in inputs.items() if k in optional or k in NAMES[:5]}
    weight = torch.randn_like(inputs['u'])
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, '_CHUNK_BYTES', chunk)
        for name in ('chunked', 'naive'):
            leaves = {k: v.detach().clone().requires_grad_() for k, v in inputs.items()}
            out = BACKENDS[name].run(**leaves, delta_softplus=softplus, **flags)
            (out * weight).sum().backward()
            results.append([out, *(v.grad for v in leaves.values())])
    for x, reference in zip(*results):
        if reference is None:  # one masked token reads nothing
            reference = torch.zeros_like(x)
        torch.testing.assert_close(x, reference, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize('backend', ON_CPU)
@pytest.mark.parametrize('residual', [False, True])
@pytest.mark.parametrize('masked', [False, True])
def test_reverse_is_a_flip(backend, residual, masked, small_chunks):
    inputs = make_inputs(2, 4, 11, 3)
    over_tokens = ('u', 'delta', 'B', 'C', 'z')
    flipped = {k: v.flip(-1) if k in over_tokens else v for k, v in inputs.items()}
    run = BACKENDS[backend].run
    flags = dict(residual=residual, masked=masked)
    torch.testing.assert_close(
        run(**inputs, reverse=True, **flags), run(**flipped, **flags).flip(-1)
    )


@pytest.mark.parametrize('backend', ON_CPU)
@pytest.mark.parametrize('residual', [False, True])
def test_mask_leaves_out_the_own_contribution(backend, residual, small_chunks):
    """The identity y_masked = y - delta u <B, C>, and D u alone for the first token."""
    inputs = make_inputs(2, 4, 11, 3)
    del inputs['z'], inputs['delta_bias']
    inputs['delta'] = inputs['delta'].abs()
    run = BACKENDS[backend].run
    plain = run(**inputs, residual=residual)
    own = inputs['delta'] * inputs['u'] * (inputs['B'] * inputs['C']).sum(1)[:, None]
    expected = plain - own
    expected[..., 0] = inputs['D'] * inputs['u'][..., 0]
    torch.testing.assert_close(run(**inputs, residual=residual, masked=True), expected)


@pytest.mark.parametrize('backend', ON_CPU)
def test_residual_is_a_token_in_front(backend, small_chunks):
    """A residual start is a zero start behind a token that sets all states to u_0."""
    inputs = make_inputs(2, 4, 11, 3)
    for name in ('D', 'z', 'delta_bias'):
        del inputs[name]
    run = BACKENDS[backend].run
    front = {k: v[..., :1] for k, v in inputs.items() if k != 'A'}
    front['delta'], front['B'] = (torch.ones_like(front[k]) for k in ('delta', 'B'))
    longer = {k: torch.cat([front[k], inputs[k]], -1) for k in front}
    torch.testing.assert_close(
        run(**inputs, residual=True), run(A=inputs['A'], **longer)[..., 1:]
    )


@pytest.mark.parametrize(
    ('backend', 'dtype'),
    [
        *itertools.product(ON_CPU, [torch.float16, torch.bfloat16]),
        ('triton', torch.float16),  # its interpreter rounds bfloat16 towards zero
    ],
)
def test_low_precision_inputs_keep_a_float32_state(backend, dtype):
    inputs = make_inputs(1, 8, 50, 4, dtype=torch.float32)
    low = {k: v.to(dtype) if k not in 'AD' else v for k, v in inputs.items()}
    out = BACKENDS[backend].run(**low, delta_softplus=True)
    assert out.dtype == dtype
    reference = BACKENDS[backend].run(
        **{k: v.float() for k, v in low.items()}, delta_softplus=True
    )
    # one rounding of the result, none of the states
    torch.testing.assert_close(out, reference.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize('backend', WITHOUT_FLOAT64)
def test_large_steps_stay_finite(backend):
    inputs = make_inputs(1, 4, 20, 3, dtype=torch.float32)
    inputs['delta'] = inputs['delta'] * 100
    inputs['A'] = inputs['A'] * 1000
    result = run_with_gradients(
        BACKENDS[backend].run, inputs, torch.ones_like(inputs['u']), residual=True
    )
    assert all(x.isfinite().all() for x in result.values())


@pytest.mark.parametrize('backend', ['llvm', 'chunked'])
def test_few_states_are_kept(backend):
    inputs = make_inputs(2, 64, 512, 16, dtype=torch.float32)
    sizes = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.numel()) or x, lambda x: x
    )
    with hooks:
        BACKENDS[backend].run(**{k: v.requires_grad_() for k, v in inputs.items()})
    every_state = 2 * 64 * 512 * 16
    assert sum(sizes) < every_state / 2


def test_autocast_leaves_the_state_alone():
    inputs = make_inputs(1, 8, 30, 4, dtype=torch.float32)
    leaves = {k: v.detach().clone().requires_grad_() for k, v in inputs.items()}
    with torch.autocast('cpu', torch.bfloat16):
        out = selective_scan(**leaves, delta_softplus=True)
        out.sum().backward()
    plain = run_with_gradients(selective_scan, inputs, torch.ones_like(inputs['u']))
    torch.testing.assert_close(out.detach(), plain['out'])
    for name, leaf in leaves.items():
        torch.testing.assert_close(leaf.grad, plain[name])


@pytest.mark.parametrize(
    ('name', 'shape', 'message'),
    [
        ('u', (2, 4, 0), 'none of them 0'),
        ('A', (5, 3), r'A must be \(D, N\) with D=4'),
        ('delta', (2, 4, 12), 'delta must have the shape of u'),
        ('z', (2, 4), 'z must have the shape of u'),
        ('D', (1,), r'D must be \(4,\)'),
        ('B', (2, 3, 12), 'B must be .* L=11'),
        ('C', (2, 3, 3, 11), 'C must be .* G a divisor of 4'),
        ('C', (2, 2, 3, 11), 'B and C must be alike'),
        ('A', (4, 0), r'A must be \(D, N\)'),
        ('B', (2, 0, 3, 11), 'B must be .* G a divisor of 4'),
    ],
)
def test_wrong_shapes_are_named(name, shape, message):
    inputs = make_inputs(2, 4, 11, 3)
    inputs[name] = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        selective_scan(**inputs)


def test_forced_backend(monkeypatch):
    inputs = make_inputs(1, 2, 3, 2)
    monkeypatch.setenv(FORCE_VARIABLE, 'naive')
    out = selective_scan(**inputs)
    torch.testing.assert_close(out, selective_scan_naive(**inputs), rtol=0, atol=0)
    monkeypatch.setenv(FORCE_VARIABLE, 'nonsense')
    with pytest.raises(ValueError, match='nonsense is not a scan backend; choose from'):
        selective_scan(**inputs)
