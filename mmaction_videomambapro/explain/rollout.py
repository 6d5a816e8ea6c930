"""Rollout: who was mixed into the tokens that the head reads, over all layers.

Attention rollout (arXiv 2005.00928) multiplies the layers' matrices of weights, half
of each the identity for the residual connection, with rows that add up to one. Only
one row of the product is needed, that of the tokens which the head reads, so each
layer takes a vector times its matrix, and no matrix is made.

The matrix of a mixer is the mean over its inner channels of gate, scan, SiLU and
convolution, each by its size: states do not cancel each other, nor do taps. That is
what a scan with ``|B|`` and ``|C|`` computes, so its gradient gives the vector.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.backbones import VideoMamba
from ..models.layers.orders import change, reorder
from ..ops import causal_conv1d
from .freezing import FrozenAttention, FrozenMixer


def rollout(backbone: Any, clips: Tensor, layer: int = 0) -> Tensor:
    """The row of the tokens that the head reads.

    Args:
        backbone (VideoMamba | VisionTransformer): A frozen twin.
        clips (Tensor): Normalised clips, (N, 3, T, H, W).
        layer (int): Go back to the tokens that enter this layer. Defaults to 0.

    Returns:
        Tensor: (N, L), the class token included; adds up to one for each clip.
    """
    blocks = backbone.layers if isinstance(backbone, VideoMamba) else backbone.blocks
    mixers: list[Any] = [
        block.mixer if isinstance(backbone, VideoMamba) else block.attn
        for block in blocks[layer:]
    ]
    orders: list[Tensor | None] = [None] * len(mixers)
    if isinstance(backbone, VideoMamba):
        grid: Any = tuple(n // p for n, p in zip(clips.shape[2:], backbone.patch_shape))
        orders = backbone.sequences(grid)[layer:]
    inputs = []
    for mixer in mixers:
        mixer.register_forward_pre_hook(lambda _, args: inputs.append(args))
    with torch.no_grad():
        backbone(clips)
    row = _first_row(backbone, inputs[-1][0])
    for mixer, order in zip(reversed(mixers), reversed(orders)):
        row = reorder(row, order)
        step = _through_scan if isinstance(mixer, FrozenMixer) else _through_attention
        row = (row + step(mixer, row, *inputs.pop())) / 2
        row = reorder(row, change(order, None))
    return row


def _first_row(backbone, tokens):
    """What the head reads: the first token, or the mean of all patches."""
    row = tokens.new_zeros(tokens.shape[:2])
    if isinstance(backbone, VideoMamba):
        reads_first = backbone.out_type == 'cls_token'
        patches = row[:, int(backbone.with_cls_token) :]
    else:
        means = backbone.fc_norm is not None or backbone.return_feat_map
        reads_first, patches = not (means or hasattr(backbone, 'out_layers')), row
    if reads_first:
        row[:, 0] = 1
    else:
        patches[:] = 1 / patches.shape[1]
    return row


def _through_scan(
    mixer: FrozenMixer, row: Tensor, hidden: Tensor, temporal: Tensor | None
) -> Tensor:
    """A row times a mixer's matrix, (N, L)."""
    tokens = torch.ones_like(row).requires_grad_()
    with torch.no_grad():
        projected = mixer.in_proj(hidden)
    sums = torch.zeros_like(row)
    for order, directions in mixer.passes(temporal):
        part = _sums(
            mixer, reorder(projected, order), reorder(tokens, order), directions
        )
        sums = sums + reorder(part, change(order, None))
    weights = row / sums.detach().clamp(min=torch.finfo(row.dtype).tiny)
    return torch.autograd.grad(sums, tokens, weights)[0]


def _sums(mixer, projected, tokens, directions):
    """What the tokens (N, L) add up to in each output of a mixer's scans, (N, L)."""
    x, z = (t.mT for t in projected.chunk(2, dim=-1))
    with torch.no_grad():
        arguments = mixer.arguments(x, directions)
    sized = {
        suffix: inputs._replace(
            u=_sizes_of_input(
                mixer, x, tokens, suffix if mixer.bimamba == 'separate' else ''
            ),
            **{name: getattr(inputs, name).abs() for name in ('B', 'C', 'D')},
        )
        for suffix, inputs in arguments.items()
    }
    return (F.silu(z).abs() * mixer.scan(sized)).mean(1)


def _sizes_of_input(mixer, x, tokens, suffix):
    """The scan's input for tokens (N, L) that are alike in all channels, (N, Di, L)."""
    tokens = tokens[:, None].expand_as(x)
    if mixer.scan_input == 'raw':
        return tokens
    conv1d = getattr(mixer, f'conv1d{suffix}')
    taps, reverse = conv1d.weight.squeeze(1), bool(suffix)
    with torch.no_grad():
        share = causal_conv1d(x, taps, conv1d.bias, reverse=reverse).sigmoid()
    return share * causal_conv1d(tokens, taps.abs(), reverse=reverse)


def _through_attention(
    attention: FrozenAttention, row: Tensor, hidden: Tensor
) -> Tensor:
    """A row times the mean of the heads' matrices, (N, L)."""
    with torch.no_grad():
        q, k, _ = attention.heads(hidden)
    ones = torch.ones_like(row)[:, None, :, None].expand(*q.shape[:3], 1)
    ones = ones.clone().requires_grad_()
    sums = F.scaled_dot_product_attention(q, k, ones, scale=attention.scale)
    weights = row[:, None, :, None].expand_as(sums) / attention.num_heads
    return torch.autograd.grad(sums, ones, weights)[0].sum(1).squeeze(-1)
