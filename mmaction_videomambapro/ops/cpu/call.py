"""What the operators tell the kernels: how large, where in memory, how divided."""

from __future__ import annotations

from array import array

import torch
from torch import Tensor
from torch.nn import functional as F

from .jit import LANES
from .threads import run


class Layout:
    """Sizes of (B, D, L) tokens with channels in groups, and memory to go with them.

    Args:
        like (Tensor): (B, D, L), any floating type. Kernels take float32, or float64.
        groups (int): Groups of channels that share what is not their own.
            Defaults to 1.
    """

    def __init__(self, like: Tensor, groups: int = 1) -> None:
        self.batch, self.channels, self.length = like.shape
        self.groups = groups
        self.per_group = self.channels // groups
        self.tiles = -(-self.per_group // LANES)  # of a group
        self.ragged = self.per_group % LANES != 0
        self.double = like.dtype == torch.float64
        self.dtype = torch.float64 if self.double else torch.float32

    def new(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype)

    def new_like(self, x: Tensor, *more: int, device: torch.device | None = None):
        """(*more, *x.shape), with the channels of a token one behind the other."""
        channels, length = x.shape[-2:]
        shape, steps = (*more, *x.shape), [channels * length]
        for size in reversed(shape[1:-2]):
            steps.insert(0, steps[0] * size)
        return torch.empty_strided(
            shape, (*steps, 1, channels), dtype=self.dtype, device=device
        )

    def new_sums(self, *rows: int) -> Tensor:
        """One number a clip, channel and row: (B, G * tiles, *rows, LANES)."""
        return self.new(self.batch, self.groups * self.tiles, *rows, LANES)

    def token_major(self, x: Tensor) -> Tensor:
        """The same (..., D, L), copied if a token's channels have gaps in memory."""
        x = self.cast(x)
        return x if x.stride(-2) == 1 else x.mT.contiguous().mT

    def cast(self, x: Tensor) -> Tensor:
        return x if x.dtype == self.dtype else x.to(self.dtype)

    def by_tile(self, x: Tensor | None) -> Tensor:
        """(D,) or (D, N) -> (G * tiles, LANES) or (G * tiles, N, LANES), 0 for None."""
        tiles = self.groups * self.tiles
        if x is None:
            return torch.zeros(tiles, LANES, dtype=self.dtype)
        x = self.cast(x)
        if self.ragged:
            x = x.view(self.groups, self.per_group, -1)
            x = F.pad(x, (0, 0, 0, self.tiles * LANES - self.per_group))
        elif x.ndim == 1:
            return x.contiguous()
        return x.reshape(tiles, LANES, -1).mT.contiguous()

    def by_channel(self, x: Tensor) -> Tensor:
        """The reverse, of sums over clips: (B, G * tiles, N, LANES) -> (D, N)."""
        x = sum_first(x)
        if x.ndim == 3:
            x = x.mT
        rows = x.shape[2:]
        if self.ragged:
            x = x.reshape(self.groups, self.tiles * LANES, *rows)[:, : self.per_group]
        return x.reshape(self.channels, *rows).contiguous()


def sum_first(x: Tensor) -> Tensor:
    """Sum over the first dimension, which often has one entry."""
    return x[0] if len(x) == 1 else x.sum(0)


class Params(dict):
    """A kernel's parameters, and the tensors it must find alive.

    Args:
        layout (Layout): Of the tokens.
        reverse (bool): Whether to walk from the last token to the first.
    """

    def __init__(self, layout: Layout, reverse: bool) -> None:
        rows = layout.batch * layout.groups
        parts = _parts(rows, layout.tiles)
        super().__init__(
            tasks=rows * parts,
            parts=parts,
            groups=layout.groups,
            tiles=layout.tiles,
            channels=layout.per_group,
            length=layout.length,
        )
        self.layout, self.reverse, self.alive = layout, reverse, []

    def pointer(self, name: str, x: Tensor) -> None:
        self.alive.append(x)
        self[name] = x.data_ptr()

    def tokens(self, name: str, x: Tensor) -> None:
        """(B, D, L), (B, N, L) or (B, G, N, L), the second to last without gaps."""
        self.pointer(name, x)
        item, step = x.element_size(), x.stride()
        token = step[-1] * item
        if self.reverse:
            self[name] += (self.layout.length - 1) * token
            token = -token
        self[f'{name}_batch'] = step[0] * item
        self[f'{name}_group'] = (
            step[1] if x.ndim > 3 else self.layout.per_group
        ) * item
        self[f'{name}_token'] = token

    def run(self, kernel: int, fields: tuple[str, ...]) -> None:
        """Run a kernel that takes these fields; what was not set is 0."""
        tickets = array('q', [0])
        self['counter'] = tickets.buffer_info()[0]
        packed = array('q', [self.get(field, 0) for field in fields])
        run(kernel, packed.buffer_info()[0], self['tasks'])


def _parts(rows, tiles):
    """Into how many tasks to split the tiles of a clip, so that threads share them.

    Few, because each task sums the gradients of B and C on its own.
    """
    threads = torch.get_num_threads()
    for parts in range(1, tiles):
        if rows * parts % threads == 0 or rows * parts >= 4 * threads:
            return parts
    return tiles
