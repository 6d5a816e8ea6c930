"""Select tokens of a sequence by index."""

from __future__ import annotations

import torch
from torch import Tensor


def gather_tokens(x: Tensor, indices: Tensor) -> Tensor:
    """Select tokens of each sample by index.

    Args:
        x (Tensor): Tokens, (B, L, C).
        indices (Tensor): Indices of the tokens, (B, K), int64, in [0, L), in the order
            of the output. They may be on the CPU whatever the device of ``x``;
            checking them there does not wait for the device.

    Returns:
        Tensor: (B, K, C).

    Raises:
        ValueError: If the shapes do not match or an index is out of range.
    """
    check_indices(indices, x.shape[0], x.shape[1])
    return take_tokens(x, indices.to(x.device))


def check_indices(indices: Tensor, batch: int, length: int) -> None:
    """Raise a ValueError unless ``indices`` select tokens from (batch, length)."""
    if not isinstance(indices, Tensor) or indices.dtype != torch.int64:
        kind = getattr(indices, 'dtype', type(indices).__name__)
        raise ValueError(f'token indices must be an int64 tensor, but got {kind}')
    if indices.ndim != 2 or indices.shape[0] != batch or indices.shape[1] < 1:
        raise ValueError(
            f'token indices must have shape (B, K) with B={batch} and K >= 1, but have '
            f'{tuple(indices.shape)}'
        )
    low, high = indices.aminmax()
    if low < 0 or high >= length:
        raise ValueError(
            f'token indices must be in [0, {length}), but range from {int(low)} to '
            f'{int(high)}'
        )


def take_tokens(x: Tensor, indices: Tensor) -> Tensor:
    """Select tokens as :func:`gather_tokens` does, unchecked and on one device."""
    return x.take_along_dim(indices[..., None], dim=1)
