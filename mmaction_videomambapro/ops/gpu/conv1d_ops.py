"""Launches the convolution's Triton kernels."""

from __future__ import annotations

import torch
import triton

from ..operators.conv1d import Conv1dOperator
from . import conv1d
from .launch import OPTIONS, dense, new_tokens, on_device_of


def _forward(x, weight, bias, silu, reverse):
    y = new_tokens(x)
    arrays = _tokens(x), *_dense(weight, bias), _tokens(y)
    _launch(conv1d.conv1d_fwd, arrays, x, weight, SILU=silu, REVERSE=reverse)
    return y


def _backward(dy, x, weight, bias, silu, reverse):
    ds, dx = new_tokens(x), new_tokens(x)
    batch, channels, length = x.shape
    tiles = batch, triton.cdiv(length, conv1d.TOKENS.value)
    dweight = x.new_empty(*tiles, weight.shape[1], channels, dtype=torch.float32)
    dbias = x.new_empty(*tiles, channels, dtype=torch.float32)
    weight, bias = _dense(weight, bias)
    arrays = _tokens(x), weight, bias, _tokens(dy), _tokens(ds), dweight, dbias
    _launch(conv1d.conv1d_bwd, arrays, x, weight, SILU=silu, REVERSE=reverse)
    arrays = _tokens(ds), weight, None, _tokens(dx)
    _launch(conv1d.conv1d_fwd, arrays, x, weight, SILU=False, REVERSE=not reverse)
    dweight, dbias = dweight.sum((0, 1)).mT, dbias.sum((0, 1))
    return dx, dweight.to(weight.dtype).contiguous(), dbias.to(weight.dtype)


def _tokens(x):
    """(B, D, L) as kernels take it, copied if channels have gaps."""
    x = x if x.stride(1) == 1 else dense(x)
    return conv1d.Tokens(x, x.stride(0), x.stride(2))


def _dense(weight, bias):
    return weight.contiguous(), bias if bias is None else bias.contiguous()


def _launch(kernel, arrays, x, weight, **flags):
    options = dict(OPTIONS, num_warps=4)
    batch, channels, length = x.shape
    grid = (
        triton.cdiv(length, conv1d.TOKENS.value),
        triton.cdiv(channels, conv1d.CHANNELS.value),
        batch,
    )
    with on_device_of(x):
        sizes = channels, length
        kernel[grid](*arrays, *sizes, TAPS=weight.shape[1], **flags, **options)


conv1d_operator = Conv1dOperator(
    'causal_conv1d_triton', ('CPU', 'CUDA'), _forward, _backward
)
