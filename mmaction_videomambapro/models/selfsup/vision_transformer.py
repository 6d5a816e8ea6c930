"""MMAction2's VisionTransformer as a V-JEPA encoder, the control experiment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.models.backbones.vit_mae import VisionTransformer
from mmaction.registry import MODELS
from torch import Tensor

from ..checks import check_choice
from ..layers.attention import init_attention_blocks, init_linear, run_layer
from ..layers.position import sincos_pos_embed
from ..layers.tokens import gather_tokens


@MODELS.register_module()
class TokenVisionTransformer(VisionTransformer):
    """MMAction2's VisionTransformer with the interface that :class:`VideoJEPA` needs.

    It maps clips and indices to tokens, as ``VideoMamba`` with ``out_type='raw'`` does,
    with the fixed 3-D positions. Blocks and parameter names are MMAction2's.

    Args:
        img_size (int): Height and width in pixels. Defaults to 224.
        patch_size (int): Side of a patch in pixels. Defaults to 16.
        tubelet_size (int): Frames per patch. Defaults to 2.
        num_frames (int): Frames per clip. Defaults to 16.
        in_channels (int): Channels of a frame. Defaults to 3.
        embed_dims (int): Channels C of a token. Defaults to 768.
        depth (int): Number of layers. Defaults to 12.
        num_heads (int): Attention heads. Defaults to 12.
        mlp_ratio (float): Hidden channels of a layer, divided by C. Defaults to 4.
        drop_path_rate (float): Stochastic depth of the last layer; the rate grows
            linearly from 0 in the first layer. Defaults to 0.
        with_cp (bool): Activation checkpointing of every layer. Defaults to False.
        out_layers (Sequence[int], optional): Indices, from 0, of the layers whose
            tokens are returned, concatenated, each after the final norm; V-JEPA 2
            probes some datasets this way. Defaults to None (the last layer).
        frozen (bool): Train nothing and stay in evaluation mode. Defaults to False.
        init_cfg (dict, optional): MMEngine's initialisation. Defaults to None.

    Raises:
        ValueError: If ``out_layers`` is empty or names a layer that does not exist, or
            ``with_cp`` is not a bool.
    """

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 16,
        tubelet_size: int = 2,
        num_frames: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        out_layers: Sequence[int] | None = None,
        frozen: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            tubelet_size=tubelet_size,
            num_frames=num_frames,
            in_channels=in_channels,
            embed_dims=embed_dims,
            depth=depth,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            drop_path_rate=drop_path_rate,
            use_mean_pooling=False,
            init_cfg=init_cfg,
        )
        del self.pos_embed  # it is one-dimensional, over the index of the token
        self.patch_shape = (tubelet_size, patch_size, patch_size)
        check_choice('with_cp', with_cp, (False, True))
        self.with_cp = with_cp
        self.out_layers = [depth - 1] if out_layers is None else list(out_layers)
        if not self.out_layers or not set(self.out_layers) <= set(range(depth)):
            raise ValueError(
                f'out_layers is {out_layers}, but must name some of the {depth} '
                'layers, which are numbered from 0'
            )
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False)

    def forward(self, x: Tensor, keep_indices: Tensor | None = None) -> Tensor:
        """Encode clips, or only their visible patches.

        Args:
            x (Tensor): Normalised clips, (N, in_channels, T, H, W).
            keep_indices (Tensor, optional): Visible patches of each clip, (N, K), as
                for ``VideoMamba``. Defaults to None (all patches).

        Returns:
            Tensor: Tokens after the final norm, (N, K, C), in the order of
            ``keep_indices`` or else frame by frame and row by row; (N, k K, C) for k
            ``out_layers``.
        """
        grid = tuple(n // p for n, p in zip(x.shape[2:], self.patch_shape))
        x = self.patch_embed(x)[0]
        x = self.pos_drop(x + sincos_pos_embed(grid, self.embed_dims).to(x))
        if keep_indices is not None:
            x = gather_tokens(x, keep_indices)
        outs = []
        for i, block in enumerate(self.blocks):
            x = run_layer(block, x, self.with_cp)
            if i in self.out_layers:
                outs.append(self.norm(x))
        return torch.cat(outs, dim=1) if len(outs) > 1 else outs[0]

    def init_weights(self) -> None:
        """Initialise as V-JEPA's encoder, then apply ``init_cfg``."""
        init_linear(self.patch_embed.projection)
        init_attention_blocks(self.blocks)
        super().init_weights()

    def train(self, mode: bool = True) -> TokenVisionTransformer:
        """Switch mode, unless frozen."""
        return super().train(mode and not self.frozen)
