"""Runs the convolution's kernels."""

from __future__ import annotations

from ..operators.conv1d import Conv1dOperator
from . import conv1d
from .call import Layout, Params, sum_first


def _forward(x, weight, bias, silu, reverse):
    layout = Layout(x)
    y = layout.new_like(x)
    params = Params(conv1d.FORWARD_FIELDS, layout, reverse)
    _set(params, x, weight, bias)
    params.tokens('y', y)
    kernel = conv1d.forward(weight.shape[1], silu, layout.ragged, layout.double)
    params.run(kernel)
    return y.to(x.dtype)


def _backward(dy, x, weight, bias, silu, reverse):
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


def _set(params, x, weight, bias):
    """Everything that both kernels take."""
    layout = params.layout
    params.weight('weight', weight)
    params.weight('bias', bias)
    params.pointer('scratch', layout.scratch(2 * weight.shape[1]))
    params.tokens('x', layout.token_major(x))


conv1d_operator = Conv1dOperator('causal_conv1d_llvm', ('CPU',), _forward, _backward)
