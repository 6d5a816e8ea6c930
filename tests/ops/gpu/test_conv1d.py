"""The Triton kernels of the convolution against PyTorch's."""

import pytest
import torch
from torch.nn import functional as F

from mmaction_videomambapro.ops import gpu

from ..helpers import DEVICE

pytestmark = pytest.mark.skipif(gpu.conv1d_operator is None, reason=gpu._missing)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    from mmaction_videomambapro.ops.gpu import conv1d_ops

    monkeypatch.setattr(conv1d_ops, 'CHUNK', 8)


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('activation', [None, 'silu'])
@pytest.mark.parametrize('taps', [1, 4])
def test_output_and_gradients(reverse, activation, taps):
    x = torch.randn(2, 19, 67, device=DEVICE).mT.requires_grad_()
    weight = torch.randn(67, taps, device=DEVICE, requires_grad=True)
    bias = torch.randn(67, device=DEVICE, requires_grad=True)
    dy = torch.randn_like(x)
    y = gpu.conv1d_operator.run(x, weight, bias, activation, reverse)

    before = (0, taps - 1) if reverse else (taps - 1, 0)
    w = weight.flip(1) if reverse else weight
    padded = F.pad(x, before).double()
    expected = F.conv1d(padded, w[:, None].double(), bias.double(), groups=67)
    if activation:
        expected = F.silu(expected)
    found = y, *torch.autograd.grad(y, (x, weight, bias), dy)
    gradients = torch.autograd.grad(expected, (x, weight, bias), dy.double())
    for value, reference in zip(found, (expected, *gradients)):
        assert (value - reference).norm() <= 1e-6 * reference.norm()


def test_low_precision_and_gaps():
    wide = torch.randn(1, 40, 20, device=DEVICE, dtype=torch.bfloat16)
    x, weight = wide[..., :10].mT, torch.randn(10, 4, device=DEVICE)
    y = gpu.conv1d_operator.run(x, weight, None, 'silu', False)
    assert y.dtype == torch.bfloat16
    expected = F.conv1d(F.pad(x.float(), (3, 0)), weight[:, None], groups=10)
    torch.testing.assert_close(y, F.silu(expected).bfloat16())


def test_operator():
    x = torch.randn(1, 9, 5, device=DEVICE).mT
    arguments = x, torch.randn(5, 4, device=DEVICE), None, True, True
    operator = gpu.conv1d_operator
    torch.library.opcheck(operator.backward.op, (torch.randn_like(x), *arguments))
    torch.library.opcheck(operator.conv1d.op, arguments)
