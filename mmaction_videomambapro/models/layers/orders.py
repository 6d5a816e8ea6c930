"""The orders in which layers scan the tokens of a clip.

Tokens are in raster order: the class token, then frame by frame and row by row. A
sequence is the order in which scans walk them instead. It holds the tokens' indices,
(L,), or (N, L) where each sample has an order of its own; None is raster order.
"""

from __future__ import annotations

import torch
from torch import Tensor

SCAN_ORDERS = (
    'spatial_first', 'temporal_first', 'spatiotemporal_v1', 'spatiotemporal_v2',
    'spatial_temporal', 'temporal_spatial', 'alternating',
)  # fmt: skip
CLS_POSITIONS = 'first', 'middle', 'last'


def layer_orders(scan_order: str, depth: int) -> list[str]:
    """The order in which each layer gets its tokens.

    Args:
        scan_order (str): One of the ``SCAN_ORDERS``.
        depth (int): Number of layers.

    Returns:
        list[str]: 'spatial_first' or 'temporal_first' of each layer. Layers that scan
        in both orders get their tokens spatial-first.
    """
    temporal = {
        'temporal_first': lambda i: True,
        'spatial_temporal': lambda i: i >= depth // 2,
        'temporal_spatial': lambda i: i < depth // 2,
        'alternating': lambda i: i % 2 == 1,
    }.get(scan_order, lambda i: False)
    return ['temporal_first' if temporal(i) else 'spatial_first' for i in range(depth)]


def sequence(
    grid: tuple[int, int, int],
    order: str,
    cls_position: str | None = 'first',
    keep_indices: Tensor | None = None,
    device: torch.device | str | None = None,
) -> Tensor | None:
    """The sequence in which a scan walks the tokens.

    Args:
        grid (tuple[int]): Patches of the clip along time, height and width.
        order (str): 'spatial_first', frame by frame, or 'temporal_first', place by
            place, through the frames of each.
        cls_position (str, optional): Where the class token stands: 'first', 'last', or
            'middle', with half of the patches before it, rounded down. None without a
            class token. Defaults to 'first'.
        keep_indices (Tensor, optional): The visible patches, (N, K), numbered in raster
            order; the tokens are in their order. Defaults to None (all patches).
        device (device | str, optional): Of the result. Defaults to None (PyTorch's).

    Returns:
        Tensor | None: Indices of tokens, (L,), or (N, L) with ``keep_indices``; None if
        they are walked as they come.
    """
    if order == 'spatial_first' and cls_position in (None, 'first'):
        return None
    frames, places = grid[0], grid[1] * grid[2]
    if keep_indices is None:
        walked = torch.arange(frames * places, device=device)
        if order == 'temporal_first':
            walked = walked.view(frames, places).mT.flatten()
    elif order == 'temporal_first':
        patches = keep_indices.to(device)
        walked = (patches % places * frames + patches // places).argsort()
    else:
        walked = torch.arange(keep_indices.shape[1], device=device)
        walked = walked.expand_as(keep_indices)
    count = walked.shape[-1]
    if cls_position is None:
        return walked
    at = dict(first=0, middle=count // 2, last=count)[cls_position]
    before, after = (walked + 1).split([at, count - at], dim=-1)
    return torch.cat([before, torch.zeros_like(walked[..., :1]), after], dim=-1)


def change(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    """What :func:`reorder` needs to turn one sequence of tokens into another."""
    if old is new:
        return None
    if old is None:
        return new
    places = torch.arange(old.shape[-1], device=old.device).expand_as(old)
    back = torch.zeros_like(old).scatter(-1, old, places)
    return back if new is None else back.gather(-1, new)


def reorder(x: Tensor, index: Tensor | None) -> Tensor:
    """Put tokens into another order.

    Args:
        x (Tensor): Tokens, (N, L, ...).
        index (Tensor, optional): Where each token of the result is, (L,) or (N, L), on
            x's device. None returns ``x`` itself.

    Returns:
        Tensor: Of x's shape.
    """
    if index is None:
        return x
    if index.ndim == 1:
        return x.index_select(1, index)
    # many times as fast as take_along_dim, which looks up every channel
    first = torch.arange(len(x), device=x.device)[:, None] * x.shape[1]
    rows = (index + first).flatten()
    return x.flatten(0, 1).index_select(0, rows).unflatten(0, index.shape)
