"""One layer of the backbone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from ..checks import check_choice
from .attention import init_linear, run_layer
from .mixer import MaskedResidualBiMamba


class MambaBlock(nn.Module):
    """Pre-norm residual block: x + DropPath(mixer(RMSNorm(x))).

    The residual stream keeps its input type (float32 under autocast); only the branch
    is computed in lower precision.

    Args:
        embed_dims (int): Channels C.
        drop_path (float): Probability of dropping the branch of a sample.
            Defaults to 0.
        norm_eps (float): Epsilon of the norm. Defaults to 1e-5.
        with_cp (bool | str): What to compute again in the backward pass to save
            memory: True the branch, 'selection' only what the mixer's own ``with_cp``
            does, False nothing. Defaults to False.
        mixer_cfg (dict, optional): Further arguments of
            :class:`MaskedResidualBiMamba`. Defaults to None.

    Raises:
        ValueError: If ``with_cp`` is none of the three.
    """

    def __init__(
        self,
        embed_dims: int,
        drop_path: float = 0.0,
        norm_eps: float = 1e-5,
        with_cp: bool | str = False,
        mixer_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        check_choice('with_cp', with_cp, (False, True, 'selection'))
        selection = with_cp == 'selection'
        mixer_cfg = {'with_cp': selection, **(mixer_cfg or {})}
        self.mixer = MaskedResidualBiMamba(embed_dims, **mixer_cfg)
        self.norm = nn.RMSNorm(embed_dims, eps=norm_eps)
        self.drop_path = DropPath(drop_path)
        self.with_cp = bool(with_cp) and not selection

    def forward(self, x: Tensor, temporal: Tensor | None = None) -> Tensor:
        """(B, L, C) -> (B, L, C); ``temporal`` is that of the mixer."""
        branch = partial(self._branch, temporal=temporal)
        return x + self.drop_path(run_layer(branch, x, self.with_cp))

    def _branch(self, x: Tensor, temporal: Tensor | None) -> Tensor:
        return self.mixer(self.norm(x.to(self.norm.weight.dtype)), temporal)


def init_blocks(blocks: Sequence[MambaBlock], rule: str) -> None:
    """Initialise a stack of blocks.

    Args:
        blocks (Sequence[MambaBlock]): All n blocks; their output projections are
            divided by the square root of n.
        rule (str): 'official', as in VideoMamba's released code, or 'mamba', as in
            Mamba itself; see :class:`VideoMamba`.
    """
    for block in blocks:
        if rule == 'official':
            for module in block.mixer.modules():
                if isinstance(module, nn.Linear):
                    init_linear(module)
        out_proj = block.mixer.out_proj.weight
        nn.init.kaiming_uniform_(out_proj, a=5**0.5)
        with torch.no_grad():
            out_proj /= len(blocks) ** 0.5
