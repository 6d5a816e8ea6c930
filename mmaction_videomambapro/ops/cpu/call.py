"""What the operators pass to the kernels: how large, where in memory, how divided."""

from __future__ import annotations

from array import array
from functools import lru_cache

import torch
from torch import Tensor

from .lanes import LANES
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
        self.item = 8 if self.double else 4  # bytes of a number

    def new(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype)

    def new_like(self, x: Tensor, *more: int) -> Tensor:
        """(*more, *x.shape), with the channels of a token side by side."""
        *first, channels, length = x.shape
        shape = *more, *first, length, channels
        return self.new(*shape).mT

    def scratch(self, rows: int) -> Tensor:
        """Working memory of a kernel: (B, G, tiles, rows, LANES)."""
        return self.new(self.batch * self.groups * self.tiles * rows * LANES)

    def token_major(self, x: Tensor) -> Tensor:
        """The same (..., D, L), copied if a token's channels have gaps in memory."""
        x = self.cast(x)
        return x if x.stride(-2) == 1 else x.mT.contiguous().mT

    def cast(self, x: Tensor) -> Tensor:
        return x if x.dtype == self.dtype else x.to(self.dtype)


def sum_first(x: Tensor) -> Tensor:
    """Sum over the first dimension, which often has one entry."""
    return x[0] if x.shape[0] == 1 else x.sum(0)


class Params:
    """A kernel's parameters, 0 unless set, and the tensors it must find alive.

    Args:
        fields (tuple[str]): The kernel's.
        layout (Layout): Of the tokens.
        reverse (bool): Whether to walk from the last token to the first.
    """

    def __init__(self, fields: tuple[str, ...], layout: Layout, reverse: bool) -> None:
        self.layout, self.reverse, self.alive = layout, reverse, []
        self.places, self.values = _places(fields), [0] * len(fields)
        rows = layout.batch * layout.groups
        self.parts = _parts(rows, layout.tiles)
        self.tasks = rows * self.parts
        self.set('tasks', self.tasks)
        self.set('parts', self.parts)
        self.set('groups', layout.groups)
        self.set('tiles', layout.tiles)
        self.set('channels', layout.per_group)
        self.set('length', layout.length)

    def set(self, name: str, value: int) -> None:
        self.values[self.places[name]] = value

    def pointer(self, name: str, x: Tensor | array) -> None:
        self.alive.append(x)
        is_array = isinstance(x, array)
        self.set(name, x.buffer_info()[0] if is_array else x.data_ptr())

    def weight(self, name: str, x: Tensor | None) -> None:
        """(D,) or (D, N), or None."""
        if x is not None:
            self.pointer(name, self.layout.cast(x).contiguous())

    def tokens(self, name: str, x: Tensor) -> None:
        """(B, D, L), (B, N, L) or (B, G, N, L), the second to last without gaps."""
        self.alive.append(x)
        start, item, steps = x.data_ptr(), self.layout.item, x.stride()
        group = steps[1] if len(steps) > 3 else self.layout.per_group
        token = steps[-1] * item
        if self.reverse:
            start += (self.layout.length - 1) * token
            token = -token
        place = self.places[name]
        self.values[place : place + 4] = start, steps[0] * item, group * item, token

    def run(self, kernel: int) -> None:
        """Run a kernel that takes these fields."""
        self.pointer('counter', array('q', [0]))
        packed = array('q', self.values)
        run(kernel, packed.buffer_info()[0], self.tasks)


@lru_cache
def _places(fields):
    return {name: place for place, name in enumerate(fields)}


def _parts(rows, tiles):
    """Into how many tasks to split the tiles of a clip, so that threads share them.

    Few, because each task sums the gradients of B and C on its own.
    """
    threads = torch.get_num_threads()
    for parts in range(1, tiles):
        if rows * parts % threads == 0 or rows * parts >= 4 * threads:
            return parts
    return tiles
