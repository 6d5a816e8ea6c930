"""What launching any of the kernels takes."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

# Products and sums may be fused, whatever Triton's default is.
OPTIONS = dict(num_warps=1, enable_fp_fusion=True)

_PROCESSORS_OF_INTERPRETER = 1


def on_device_of(x: Tensor):
    """Launch on the GPU of a tensor, which need not be the current one."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def processors(x: Tensor) -> int:
    """How many processors the GPU of a tensor has."""
    if not x.is_cuda:
        return _PROCESSORS_OF_INTERPRETER
    return torch.cuda.get_device_properties(x.device).multi_processor_count


def registers(count: int) -> dict[str, int]:
    """Options of a kernel that is to take no more; AMD's compiler has none."""
    return {} if torch.version.hip else dict(maxnreg=count)


def new_tokens(like: Tensor) -> Tensor:
    """Empty (B, D, L), with the channels of a token side by side."""
    batch, channels, length = like.shape
    return like.new_empty((batch, length, channels)).mT


def dense(x: Tensor) -> Tensor:
    """(B, D, L) in one piece, token by token."""
    return x.mT.contiguous().mT
