"""The convolution's kernels as PyTorch operators, with fakes and gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from . import conv1d
from .call import Layout, Params, sum_first
from .operator import Operator


@Operator
def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, reverse: bool
) -> Tensor:
    """Shapes are those of ``ops.causal_conv1d``."""
    layout = Layout(x)
    y = layout.new_like(x)
    params = Params(conv1d.FORWARD_FIELDS, layout, reverse)
    _set(params, x, weight, bias)
    params.tokens('y', y)
    kernel = conv1d.forward(weight.shape[1], silu, layout.ragged, layout.double)
    params.run(kernel)
    return y.to(x.dtype)


@causal_conv1d.fake
def _(x, weight, bias, silu, reverse):
    return torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT


@Operator
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
    dweight = layout.new(layout.batch, *weight.shape)
    dbias = layout.new(layout.batch, len(weight))
    params = Params(conv1d.BACKWARD_FIELDS, layout, reverse)
    _set(params, x, weight, bias)
    params.tokens('dy', layout.token_major(dy))
    params.tokens('dx', dx)
    params.pointer('dweight', dweight)
    params.pointer('dbias', dbias)
    kernel = conv1d.backward(taps, silu, layout.ragged, layout.double)
    params.run(kernel)
    dweight, dbias = (sum_first(x).to(weight.dtype) for x in (dweight, dbias))
    return dx.to(x.dtype), dweight, dbias


@causal_conv1d_backward.fake
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


causal_conv1d.gradient(_backward, _setup_context)
causal_conv1d_backward.refuse_gradient()


def _set(params, x, weight, bias):
    """Everything that both kernels take."""
    layout = params.layout
    params.weight('weight', weight)
    params.weight('bias', bias)
    params.pointer('scratch', layout.scratch(2 * weight.shape[1]))
    params.tokens('x', layout.token_major(x))
