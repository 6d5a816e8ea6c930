"""Position embeddings of a (T, H, W) grid of tokens, learned or fixed."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_pos_embed(
    pos_embed: Tensor, src: tuple[int, int], dst: tuple[int, int]
) -> Tensor:
    """Resize a learned spatial embedding bicubically; extra tokens are kept.

    Args:
        pos_embed (Tensor): (1, E + h * w, C), with E >= 0 extra tokens in front.
        src (tuple[int]): Its grid, (h, w).
        dst (tuple[int]): The target grid, (H, W).

    Returns:
        Tensor: (1, E + H * W, C).
    """
    if src == dst:
        return pos_embed
    extra = pos_embed.shape[1] - src[0] * src[1]
    head, grid = pos_embed[:, :extra], pos_embed[:, extra:]
    grid = grid.mT.unflatten(2, src)  # (1, C, h, w)
    grid = F.interpolate(grid.float(), dst, mode='bicubic', align_corners=False)
    return torch.cat([head, grid.flatten(2).mT.to(head.dtype)], dim=1)


def resize_temporal_embed(temporal_embed: Tensor, length: int) -> Tensor:
    """Resize a learned temporal embedding linearly, (1, t, C) -> (1, length, C)."""
    if temporal_embed.shape[1] == length:
        return temporal_embed
    resized = F.interpolate(
        temporal_embed.mT.float(), length, mode='linear', align_corners=False
    )
    return resized.mT.to(temporal_embed.dtype)


def sincos_pos_embed(grid: tuple[int, int, int], dims: int) -> Tensor:
    """Fixed 3-D sine-cosine embedding, with channels split equally between the axes.

    The channels of an axis hold the sines, then the cosines, of the position
    divided by 10000^(k / K); the order of the axes is time, height, width
    (V-JEPA, arXiv 2404.08471, with its ``uniform_power``).

    Args:
        grid (tuple[int]): Tokens along time, height and width, (T, H, W).
        dims (int): Channels C.

    Returns:
        Tensor: (1, T * H * W, C), float32, in raster order.
    """
    half = math.ceil(dims / 6)
    omega = 10000.0 ** -(torch.arange(half) / half)
    axes = torch.meshgrid(*(torch.arange(n) for n in grid), indexing='ij')
    codes = []
    for position in axes:
        angle = position.flatten()[:, None] * omega  # (T * H * W, half)
        codes += [angle.sin(), angle.cos()]
    return torch.cat(codes, dim=1)[None, :, :dims]
