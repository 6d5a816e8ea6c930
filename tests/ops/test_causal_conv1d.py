import pytest
import torch

from mmaction_videomambapro.ops import causal_conv1d


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


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('length', [1, 2, 9])
def test_against_loops(reverse, length):
    x = torch.randn(2, length, 5, dtype=torch.float64).mT
    weight, bias = (torch.randn(*s, dtype=torch.float64) for s in ((5, 4), (5,)))
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


def test_unknown_activation():
    with pytest.raises(ValueError, match="'gelu'"):
        causal_conv1d(torch.ones(1, 1, 1), torch.ones(1, 1), activation='gelu')
