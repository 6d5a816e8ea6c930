"""Choosing tokens of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor


def gather_tokens(x: Tensor, indices: Tensor) -> Tensor:
    """Take tokens of each sample by their numbers.

    Args:
        x (Tensor): Tokens, (B, L, C).
        indices (Tensor): Which of them, (B, K), int64, in [0, L), in the order in
            which they are wanted. May lie on the CPU whatever the device of ``x``:
            there, looking at the numbers does not wait for the device.

    Returns:
        Tensor: (B, K, C).

    Raises:
        ValueError: If the shapes do not fit together or a number is out of range.
    """
    check_indices(indices, x.shape[0], x.shape[1])
    return take_tokens(x, indices.to(x.device))


def check_indices(indices: Tensor, batch: int, length: int) -> None:
    """Raise a ValueError unless ``indices`` number tokens of (batch, length)."""
    if not isinstance(indices, Tensor) or indices.dtype != torch.int64:
        kind = getattr(indices, 'dtype', type(indices).__name__)
        raise ValueError(f'token indices must be an int64 tensor, but are {kind}')
    if indices.ndim != 2 or indices.shape[0] != batch or indices.shape[1] < 1:
        raise ValueError(
            f'token indices must be (B, K) with B={batch} and K >= 1, but are '
            f'{tuple(indices.shape)}'
        )
    low, high = indices.aminmax()
    if low < 0 or high >= length:
        raise ValueError(
            f'token indices must be in [0, {length}), but reach from {int(low)} to '
            f'{int(high)}'
        )


def take_tokens(x: Tensor, indices: Tensor) -> Tensor:
    """:func:`gather_tokens` without the checks, all on one device."""
    return x.take_along_dim(indices[..., None], dim=1)
