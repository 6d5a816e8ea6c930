"""Launches the convolution's Triton kernels."""

from __future__ import annotations

import torch
import triton

from ..operators.conv1d import Conv1dOperator
from . import conv1d
from .launch import OPTIONS, dense, new_tokens, on_device_of

CHUNK = 64  # tokens that a program walks through


def _forward(x, weight, bias, silu, reverse):
    y = new_tokens(x)
    batch, channels, length = x.shape
    tiles = triton.cdiv(channels, conv1d.CHANNELS.value)
    chunks = triton.cdiv(length, conv1d.TOKENS.value)
    with on_device_of(x):
        conv1d.conv1d_fwd[chunks, tiles, batch](
            _tokens(x),
            *_dense(weight, bias),
            _tokens(y),
            channels,
            length,
            TAPS=weight.shape[1],
            SILU=silu,
            REVERSE=reverse,
            **dict(OPTIONS, num_warps=4),
        )
    return y


def _backward(dy, x, weight, bias, silu, reverse):
    dx = new_tokens(x)
    batch, channels, length = x.shape
    taps = weight.shape[1]
    tiles = triton.cdiv(channels, conv1d.CHANNELS.value)
    chunks = triton.cdiv(length, CHUNK)
    sums = x.new_empty(batch, chunks, taps + 1, channels, dtype=torch.float32)
    x = _tokens(x)
    with on_device_of(dy):
        conv1d.conv1d_bwd[chunks, tiles, batch](
            x,
            *_dense(weight, bias),
            dense(dy),
            dx,
            sums,
            channels,
            length,
            X_STEP=x.token,
            STEP=channels,
            TAPS=taps,
            SILU=silu,
            REVERSE=reverse,
            CHUNK=CHUNK,
            **OPTIONS,
        )
    sums = sums.sum((0, 1)).to(weight.dtype)
    return dx, sums[:-1].mT.contiguous(), sums[-1].clone()


def _tokens(x):
    """(B, D, L) as kernels take it, copied if channels have gaps."""
    x = x if x.stride(1) == 1 else dense(x)
    return conv1d.Tokens(x, x.stride(0), x.stride(2))


def _dense(weight, bias):
    return weight.contiguous(), bias if bias is None else bias.contiguous()


conv1d_operator = Conv1dOperator(
    'causal_conv1d_triton', ('CPU', 'CUDA'), _forward, _backward
)
