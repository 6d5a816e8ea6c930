"""What every public function asks of its tensors, before any kernel reads memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_TYPES = frozenset((torch.float32, torch.float64, torch.bfloat16, torch.float16))


def check_tensors(
    names: Sequence[str], tensors: Sequence[Tensor | None], needed: int
) -> None:
    """Refuse what kernels would misread: other devices, complex numbers or integers.

    Args:
        names (Sequence[str]): Of the arguments.
        tensors (Sequence[Tensor | None]): The arguments.
        needed (int): How many of them, from the first, must not be None.

    Raises:
        TypeError: If one is not a dense tensor of floating-point numbers.
        ValueError: If they are not all on one device.
    """
    device = getattr(tensors[0], 'device', None)
    for i, x in enumerate(tensors):
        if x is None and i >= needed:
            continue
        if not (
            isinstance(x, Tensor)
            and x.dtype in _TYPES
            and x.layout is torch.strided
            and x.device == device
        ):
            _refuse(names[i], x, f'{names[0]}, {device}')


def _refuse(name, x, first):
    if not isinstance(x, Tensor):
        raise TypeError(f'{name} must be a tensor, but is of type {type(x).__name__}')
    if x.layout is not torch.strided:
        raise TypeError(f'{name} must be a dense tensor, but its layout is {x.layout}')
    if x.dtype not in _TYPES:
        raise TypeError(
            f'{name} must be of float32, float64, bfloat16 or float16, but is {x.dtype}'
        )
    raise ValueError(f'{name} must be on the device of {first}, but is on {x.device}')
