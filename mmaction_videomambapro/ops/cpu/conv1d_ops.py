"""The convolution's kernels as PyTorch operators, with fakes and gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from . import conv1d
from .call import Layout, Params
from .operator import operator, refuse_gradient


@operator
def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, reverse: bool
) -> Tensor:
    """Shapes are those of ``ops.causal_conv1d``."""
    layout = Layout(x)
    y = layout.new_like(x)
    params = _params(layout, x, weight, bias, reverse)
    params.tokens('y', y)
    kernel = conv1d.forward(weight.shape[1], silu, layout.ragged, layout.double)
    params.run(kernel, conv1d.FORWARD_FIELDS)
    return y.to(x.dtype)


@torch.library.register_fake(causal_conv1d)
def _(x, weight, bias, silu, reverse):
    return torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT


@operator
def causal_conv1d_backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    silu: bool,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias."""
    layout = Layout(x)
    dx, taps = layout.new_like(x), weight.shape[1]
    dweight, dbias = layout.new_sums(taps), layout.new_sums()
    params = _params(layout, x, weight, bias, reverse)
    params.tokens('dy', layout.token_major(dy))
    params.tokens('dx', dx)
    params.pointer('dweight', dweight)
    params.pointer('dbias', dbias)
    kernel = conv1d.backward(taps, silu, layout.ragged, layout.double)
    params.run(kernel, conv1d.BACKWARD_FIELDS)
    dweight, dbias = (layout.by_channel(g).to(weight.dtype) for g in (dweight, dbias))
    return dx.to(x.dtype), dweight, dbias


@torch.library.register_fake(causal_conv1d_backward)
def _(dy, x, weight, bias, silu, reverse):
    dx = torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT
    return dx, weight.new_empty(weight.shape), weight.new_empty(weight.shape[0])


def _setup_context(ctx, inputs, output):
    *tensors, silu, reverse = inputs
    ctx.save_for_backward(*tensors)
    ctx.flags = silu, reverse


def _backward(ctx, dy):
    x, weight, bias = ctx.saved_tensors
    dx, dweight, dbias = causal_conv1d_backward(dy, x, weight, bias, *ctx.flags)
    return dx, dweight, None if bias is None else dbias, None, None


torch.library.register_autograd(causal_conv1d, _backward, setup_context=_setup_context)
refuse_gradient(causal_conv1d_backward)


def _params(layout, x, weight, bias, reverse):
    params = Params(layout, reverse)
    params.pointer('weight', layout.by_tile(weight))
    params.pointer('bias', layout.by_tile(bias))
    params.tokens('x', layout.token_major(x))
    return params
