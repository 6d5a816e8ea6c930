"""Initialisation and activation checkpointing of MMAction2's self-attention blocks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_layer(layer: Callable[[Tensor], Tensor], x: Tensor, with_cp: bool) -> Tensor:
    """Run a layer, with activation checkpointing if ``with_cp`` is set."""
    if with_cp and torch.is_grad_enabled():
        return checkpoint(layer, x, use_reentrant=False)
    return layer(x)


def init_linear(layer: nn.Module) -> None:
    """Truncated normal with std 0.02, and no bias, as VideoMamba and V-JEPA begin."""
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def init_attention_blocks(blocks: nn.ModuleList) -> None:
    """Initialise blocks as V-JEPA and BEiT do.

    Truncated normal; both output layers of block i, counted from 1, are divided by
    the square root of 2 i.

    Args:
        blocks (nn.ModuleList): ``mmaction.models.backbones.vit_mae.Block``.
    """
    for i, block in enumerate(blocks, start=1):
        linears = [m for m in block.modules() if isinstance(m, nn.Linear)]
        for linear in linears:
            init_linear(linear)
        with torch.no_grad():
            for output in (block.attn.proj, linears[-1]):  # the MLP is the last part
                output.weight /= (2 * i) ** 0.5
