"""Which tensors the public functions take, and that all backends take the same."""

import itertools

import pytest
import torch

from mmaction_videomambapro.ops import (
    ScanInputs,
    bidirectional_scan,
    causal_conv1d,
    selective_scan,
)
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE

from .helpers import NAMES, ON_CPU, make_inputs

TYPES = torch.float32, torch.bfloat16, torch.float16, torch.float64
# of the type's resolution: of one rounding, and of the sums of many
ROUNDING = {
    torch.float32: 1e-5,
    torch.float64: 1e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 2e-2,
}


@pytest.fixture(params=ON_CPU)
def backend(request, monkeypatch):
    monkeypatch.setenv(FORCE_VARIABLE, request.param)


def gradients(function, tensors, dy):
    leaves = [x if x is None else x.detach().requires_grad_() for x in tensors]
    y = function(*leaves)
    given = [x for x in leaves if x is not None]
    return [y.detach(), *torch.autograd.grad(y, given, dy.to(y.dtype))], given


def compare(function, tensors):
    """With the same numbers in float64. y is of the first tensor's type."""
    doubles = [x if x is None else x.double() for x in tensors]
    dy = torch.randn(tensors[0].shape).to(tensors[0].dtype)
    expected, _ = gradients(function, doubles, dy)
    found, leaves = gradients(function, tensors, dy)
    types = [tensors[0].dtype, *(x.dtype for x in leaves)]
    assert [x.dtype for x in found] == types
    bound = max(ROUNDING[t] for t in types)
    for x, y in zip(found, expected):
        torch.testing.assert_close(
            x.double(), y, rtol=bound, atol=bound * y.abs().max()
        )


@pytest.mark.parametrize('x_type', TYPES, ids=str)
@pytest.mark.parametrize('weight_type', TYPES, ids=str)
def test_convolution_takes_any_mixture(backend, x_type, weight_type):
    grid = itertools.product((2, 3, 4), (1, 2, 17, 70), (False, True), (None, 'silu'))
    for i, (taps, length, reverse, activation) in enumerate(grid):
        x = torch.randn(2, length, 24)[..., 2:7].mT.to(x_type)  # a view with gaps
        if i % 2:
            x = x.contiguous()
        bias = (None, torch.randn(5, dtype=weight_type), torch.randn(5))[i % 3]
        compare(
            lambda *a, f=activation, r=reverse: causal_conv1d(*a, f, reverse=r),
            [x, torch.randn(5, taps, dtype=weight_type), bias],
        )


@pytest.mark.parametrize('autocast', [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_convolution_alone(backend, autocast):
    tensors = torch.randn(1, 4, 9), torch.randn(4, 3), torch.randn(4)
    expected = causal_conv1d(*tensors, 'silu')
    with torch.autocast('cpu', autocast):
        found = causal_conv1d(*tensors, 'silu')
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('u_type', TYPES, ids=str)
@pytest.mark.parametrize('shift', range(len(TYPES)))
def test_scan_takes_any_mixture(backend, u_type, shift):
    inputs = make_inputs(2, 6, 9, 3, groups=2, dtype=torch.float32)
    inputs = [inputs[name].to(TYPES[(shift + i) % 4]) for i, name in enumerate(NAMES)]
    inputs[0] = inputs[0].to(u_type)
    compare(lambda *a: selective_scan(*a, delta_softplus=True, masked=True), inputs)


@pytest.mark.parametrize('z_type', TYPES, ids=str)
def test_both_directions_keep_the_type_of_tokens(backend, z_type):
    inputs = make_inputs(2, 4, 9, 3, dtype=torch.bfloat16)
    z = inputs.pop('z').to(z_type)
    given = ScanInputs(**inputs)
    assert bidirectional_scan(given, given, z, True).dtype == torch.bfloat16


def negated(x):
    """A view whose memory holds the negatives."""
    view = torch.complex(torch.zeros_like(x), -x).conj().imag
    assert view.is_neg()
    return view.detach()


def test_memory_of_negatives(backend):
    inputs = [make_inputs(2, 4, 9, 3, dtype=torch.float32)[name] for name in NAMES]
    dy, weight = torch.randn(2, 4, 9), torch.randn(4, 3)
    for function, tensors in (
        (lambda *a: selective_scan(*a, delta_softplus=True), inputs),
        (causal_conv1d, [inputs[0], weight]),
    ):
        expected, _ = gradients(function, tensors, dy)
        found, _ = gradients(function, list(map(negated, tensors)), negated(dy))
        for x, y in zip(found, expected):
            torch.testing.assert_close(x, y)


WRONG = {
    'meta': (
        lambda x: x.to('meta'),
        ValueError,
        'on the device of .*, cpu, but is on meta',
    ),
    'complex': (lambda x: x.to(torch.complex64), TypeError, 'but is torch.complex64'),
    'whole': (lambda x: x.long(), TypeError, 'but is torch.int64'),
    'bool': (lambda x: x > 0, TypeError, 'but is torch.bool'),
    'sparse': (lambda x: x.to_sparse(), TypeError, 'its layout is torch.sparse_coo'),
    'array': (lambda x: x.numpy(), TypeError, 'be a tensor, but is of type ndarray'),
}


@pytest.mark.parametrize('wrong', WRONG)
def test_wrong_tensors_are_named(backend, wrong):
    change, error, message = WRONG[wrong]
    inputs = make_inputs(2, 4, 9, 3, dtype=torch.float32)
    for name in NAMES:
        if (wrong, name) != ('meta', 'u'):
            with pytest.raises(error, match=f'^{name} must .*{message}'):
                selective_scan(**{**inputs, name: change(inputs[name])})
    z = inputs.pop('z')
    both = [ScanInputs(**inputs)] * 2
    for i, name in itertools.product(range(2), ScanInputs._fields):
        if (wrong, i, name) != ('meta', 0, 'u'):
            given = list(both)
            given[i] = both[i]._replace(**{name: change(inputs[name])})
            side = ('forward', 'backward')[i]
            with pytest.raises(error, match=rf'^{side}\.{name} must .*{message}'):
                bidirectional_scan(*given, z)
    with pytest.raises(error, match=f'^z must .*{message}'):
        bidirectional_scan(*both, change(z))
    tensors = dict(x=inputs['u'], weight=inputs['A'], bias=inputs['D'])
    for name, x in tensors.items():
        if (wrong, name) != ('meta', 'x'):
            with pytest.raises(error, match=f'^{name} must .*{message}'):
                causal_conv1d(**{**tensors, name: change(x)})


@pytest.mark.parametrize('name', ['u', 'forward.u', 'x'])
def test_tokens_on_another_device_than_all_else(name):
    inputs = make_inputs(2, 4, 9, 3, dtype=torch.float32)
    z, u = inputs.pop('z'), inputs['u'].to('meta')
    given = ScanInputs(**inputs)
    calls = {
        'u': lambda: selective_scan(**{**inputs, 'u': u}),
        'forward.u': lambda: bidirectional_scan(given._replace(u=u), given, z),
        'x': lambda: causal_conv1d(u, torch.ones(4, 3)),
    }
    with pytest.raises(ValueError, match=rf'must be on the device of {name}, meta'):
        calls[name]()


def test_needed_tensors_are_not_none():
    inputs = make_inputs(1, 2, 3, 2)
    for name in ('u', 'delta', 'A', 'B', 'C'):
        with pytest.raises(TypeError, match=f'^{name} must be a tensor'):
            selective_scan(**{**inputs, name: None})
    with pytest.raises(TypeError, match=r'^weight must be a tensor'):
        causal_conv1d(inputs['u'], None)


def test_arguments_of_causal_conv1d_that_do_not_exist():
    seq_idx = torch.zeros(1, 3, dtype=torch.int32)
    with pytest.raises(TypeError, match='seq_idx'):
        causal_conv1d(torch.ones(1, 2, 3), torch.ones(2, 2), None, seq_idx)
