"""Predictors: from visible tokens to the features of hidden ones."""

from __future__ import annotations

import torch
from mmaction.models.backbones.vit_mae import Block
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..checks import check_choice
from ..layers import MambaBlock, init_blocks
from ..layers.attention import init_attention_blocks, init_linear, run_layer
from ..layers.position import sincos_pos_embed
from ..layers.tokens import take_tokens


class JEPAPredictor(BaseModule):
    """Base class of predictors: all but their ``layers`` and ``norm``.

    Visible tokens are projected to the predictor's width and get their positions. A
    learned mask token, one per kind of mask, gets the position of each token to
    predict. Both go through the layers together, and the outputs at the mask tokens are
    projected back (V-JEPA, arXiv 2404.08471).

    Args:
        in_channels (int): Channels D of the encoder.
        embed_dims (int): Channels P of the predictor.
        num_masks (int): Kinds of masks. Defaults to 2.
        token_order (str): Order of the tokens in the layers. 'raster': the order in the
            clip, with mask tokens between visible ones, as in V-JEPA 2; only this makes
            both directions of a scan useful. 'append': mask tokens after the visible
            ones, as in V-JEPA and Video Mamba JEPA; a backward scan then reads them
            before any visible token. Attention does not depend on the order.
            Defaults to 'raster'.
        init_cfg (dict, optional): MMEngine's initialisation. Defaults to None.

    Raises:
        ValueError: If ``token_order`` is neither.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        num_masks: int = 2,
        token_order: str = 'raster',
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_choice('token_order', token_order, ('raster', 'append'))
        self.in_channels, self.embed_dims = in_channels, embed_dims
        self.num_masks, self.token_order = num_masks, token_order
        self.with_cp = False  # of whole layers
        self.proj_in = nn.Linear(in_channels, embed_dims)
        self.mask_tokens = nn.Parameter(torch.zeros(num_masks, 1, embed_dims))
        self.proj_out = nn.Linear(embed_dims, in_channels)

    def init_weights(self) -> None:
        """Initialise the projections as V-JEPA does, then apply ``init_cfg``."""
        init_linear(self.proj_in)
        init_linear(self.proj_out)
        super().init_weights()

    def forward(
        self,
        context: Tensor,
        keep_indices: Tensor,
        target_indices: Tensor,
        grid: tuple[int, int, int],
        mask_index: int = 0,
    ) -> Tensor:
        """Predict features.

        Args:
            context (Tensor): The encoder's visible tokens, (B, K, D).
            keep_indices (Tensor): Their indices in the clip, (B, K).
            target_indices (Tensor): Indices of the tokens to predict, (B, M); none may
                be in ``keep_indices``.
            grid (tuple[int]): Tokens of the clip along time, height and width.
            mask_index (int): Kind of mask; selects the mask token. Defaults to 0.

        Returns:
            Tensor: Predicted features, (B, M, D).
        """
        K = context.shape[1]
        places = torch.cat([keep_indices, target_indices], dim=1).to(context.device)
        x = self.proj_in(context)
        position = sincos_pos_embed(grid, self.embed_dims).to(x)
        mask = self.mask_tokens[mask_index].to(x.dtype)
        mask = mask.expand(x.shape[0], target_indices.shape[1], -1)
        x = torch.cat([x, mask], dim=1) + position[0, places]
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # the residual stream
        if self.token_order == 'raster':
            order = places.argsort(dim=1)
            x = self._layers_forward(take_tokens(x, order))
            x = take_tokens(x, order.argsort(dim=1)[:, K:])
        else:
            x = self._layers_forward(x)[:, K:]
        return self.proj_out(x)

    def _layers_forward(self, x):
        for layer in self.layers:
            x = run_layer(layer, x, self.with_cp)
        return self.norm(x)


@MODELS.register_module()
class JEPAMambaPredictor(JEPAPredictor):
    """Predictor with bidirectional state-space layers.

    Args:
        in_channels (int): Channels D of the encoder.
        embed_dims (int): Channels P of the predictor. Defaults to 384.
        depth (int): Number of layers. Defaults to 12.
        mixer_cfg (dict, optional): Arguments of :class:`MaskedResidualBiMamba`, such
            as ``residual=False, masked=False`` for VideoMamba's layers instead of
            VideoMambaPro's. Defaults to None.
        drop_path_rate (float): Stochastic depth of the last layer; the rate grows
            linearly from 0 in the first layer. Defaults to 0.
        norm_eps (float): Epsilon of the RMS norms. Defaults to 1e-5.
        with_cp (bool | str): Activation checkpointing, see :class:`VideoMamba`.
            Defaults to False.
        weight_init (str): 'mamba' or 'official', see :class:`VideoMamba`.
            Defaults to 'mamba'.
        **kwargs: Further arguments of :class:`JEPAPredictor`.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int = 384,
        depth: int = 12,
        mixer_cfg: dict | None = None,
        drop_path_rate: float = 0.0,
        norm_eps: float = 1e-5,
        with_cp: bool | str = False,
        weight_init: str = 'mamba',
        **kwargs,
    ) -> None:
        super().__init__(in_channels, embed_dims, **kwargs)
        check_choice('weight_init', weight_init, ('mamba', 'official'))
        self.weight_init = weight_init
        rates = torch.linspace(0, drop_path_rate, depth).tolist()
        self.layers = nn.ModuleList(
            MambaBlock(embed_dims, rate, norm_eps, with_cp, mixer_cfg) for rate in rates
        )
        self.norm = nn.RMSNorm(embed_dims, eps=norm_eps)

    def init_weights(self) -> None:
        """Initialise the layers by ``weight_init``."""
        init_blocks(self.layers, self.weight_init)
        super().init_weights()


@MODELS.register_module()
class JEPATransformerPredictor(JEPAPredictor):
    """V-JEPA's predictor, with self-attention layers.

    Args:
        in_channels (int): Channels D of the encoder.
        embed_dims (int): Channels P of the predictor. Defaults to 384.
        depth (int): Number of layers. Defaults to 12.
        num_heads (int): Attention heads. Defaults to 12.
        mlp_ratio (float): Hidden channels of a layer, divided by P. Defaults to 4.
        with_cp (bool): Activation checkpointing. Defaults to False.
        **kwargs: Further arguments of :class:`JEPAPredictor`.

    Raises:
        ValueError: If ``with_cp`` is not a bool.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int = 384,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4,
        with_cp: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(in_channels, embed_dims, **kwargs)
        check_choice('with_cp', with_cp, (False, True))
        self.with_cp = with_cp
        self.layers = nn.ModuleList(
            Block(embed_dims, num_heads, mlp_ratio) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)

    def init_weights(self) -> None:
        """Initialise the layers as V-JEPA does."""
        init_attention_blocks(self.layers)
        super().init_weights()
