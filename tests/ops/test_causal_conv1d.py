import pytest
import torch

from mmaction_videomambapro.ops import causal_conv1d
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE

pytestmark = pytest.mark.base


def by_hand(x, weight, bias, reverse):
    y = torch.zeros_like(x)
    taps, length = weight.shape[1], x.shape[2]
    for i in range(length):
        for k in range(taps):
            back = taps - 1 - k  # the last tap meets the current token
            j = i + back if reverse else i - back
            if 0 <= j < length:
                y[:, :, i] += weight[:, k] * x[:, :, j]
    return y + bias[:, None]


@pytest.fixture(params=['llvm', 'chunked'], autouse=True)
def backend(request, monkeypatch):
    monkeypatch.setenv(FORCE_VARIABLE, request.param)


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('length', [1, 2, 9, 64, 131])
@pytest.mark.parametrize('channels', [5, 16])
def test_against_loops(reverse, length, channels):
    x = torch.randn(2, length, channels, dtype=torch.float64).mT
    weight = torch.randn(channels, 4, dtype=torch.float64)
    bias = torch.randn(channels, dtype=torch.float64)
    expected = by_hand(x, weight, bias, reverse)
    torch.testing.assert_close(
        causal_conv1d(x, weight, bias, reverse=reverse), expected
    )
    torch.testing.assert_close(
        causal_conv1d(x, weight, bias, 'silu', reverse=reverse),
        expected * expected.sigmoid(),
    )


def test_gradients():
    inputs = [
        torch.randn(*s, dtype=torch.float64, requires_grad=True)
        for s in ((1, 2, 5), (2, 4), (2,))
    ]
    for reverse in (False, True):
        assert torch.autograd.gradcheck(
            lambda *a, r=reverse: causal_conv1d(*a, 'silu', reverse=r), inputs
        )


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('activation', [None, 'silu'])
def test_gradients_over_chunks(reverse, activation):
    """Long enough for several chunks of the kernel, where one reads the next's."""
    x = torch.randn(2, 150, 19, dtype=torch.float64).mT.requires_grad_()
    weight = torch.randn(19, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(19, dtype=torch.float64, requires_grad=True)
    dy = torch.randn(2, 19, 150, dtype=torch.float64)
    expected = by_hand(x, weight, bias, reverse)
    if activation:
        expected = expected * expected.sigmoid()
    leaves = x, weight, bias
    y = causal_conv1d(*leaves, activation, reverse=reverse)
    for found, wanted in zip(
        torch.autograd.grad(y, leaves, dy), torch.autograd.grad(expected, leaves, dy)
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_types(dtype):
    x = torch.randn(1, 30, 20).mT.to(dtype)
    weight, bias = torch.randn(20, 4).to(dtype), torch.randn(20).to(dtype)
    y = causal_conv1d(x, weight, bias, 'silu')
    assert y.dtype == dtype
    expected = causal_conv1d(*(t.double() for t in (x, weight, bias)), 'silu')
    torch.testing.assert_close(y.double(), expected, rtol=2e-2, atol=2e-2)


def test_no_bias():
    x, weight = torch.randn(1, 3, 8), torch.randn(3, 4)
    y = causal_conv1d(x, weight)
    torch.testing.assert_close(y, causal_conv1d(x, weight, torch.zeros(3)))


def test_unknown_activation():
    with pytest.raises(ValueError, match="'gelu'"):
        causal_conv1d(torch.ones(1, 1, 1), torch.ones(1, 1), activation='gelu')


@pytest.mark.parametrize(
    ('x', 'weight', 'bias', 'message'),
    [
        ((4, 5), (4, 3), (4,), r'x must be \(B, D, L\)'),
        ((1, 4, 0), (4, 3), (4,), 'none of them 0'),
        ((1, 4, 5), (5, 3), (5,), r'weight must be \(D, K\) with D=4'),
        ((1, 4, 5), (4, 1, 3), (4,), r'weight must be \(D, K\)'),
        ((1, 4, 5), (4, 3), (1,), r'bias must be \(4,\)'),
    ],
)
def test_wrong_shapes_are_named(x, weight, bias, message):
    with pytest.raises(ValueError, match=message):
        causal_conv1d(torch.ones(x), torch.ones(weight), torch.ones(bias))
