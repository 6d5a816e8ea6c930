"""VideoMamba and VideoMambaPro."""

from __future__ import annotations

from collections import OrderedDict

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..checks import check_choice
from ..layers import MambaBlock, init_blocks
from ..layers.orders import (
    CLS_POSITIONS,
    SCAN_ORDERS,
    change,
    layer_orders,
    reorder,
    sequence,
)
from ..layers.position import (
    resize_pos_embed,
    resize_temporal_embed,
    sincos_pos_embed,
)
from ..layers.tokens import gather_tokens

# what the layer-wise decay of the released code reaches, by the beginning of names
STEM = 'cls_token', 'pos_embed', 'patch_embed.'


@MODELS.register_module()
class VideoMamba(BaseModule):
    """VideoMamba: bidirectional state-space blocks over space-time patches.

    `VideoMamba: State Space Model for Efficient Video Understanding
    <https://arxiv.org/abs/2403.06977>`_. Parameter names, initialisation and the
    drop-path rule match the published code and checkpoints.

    Args:
        arch (str | dict): 'tiny' (192 channels, 24 layers), 'small' (384, 24),
            'middle' (576, 32), 'base' (768, 24), or a dict with ``embed_dims`` and
            ``depth``. Defaults to 'middle'.
        img_size (int | tuple): Height and width in pixels for which the position
            embedding is made; it is interpolated for other sizes. Defaults to 224.
        patch_size (int): Side of a patch in pixels. Defaults to 16.
        tubelet_size (int): Frames per patch. Defaults to 1.
        num_frames (int): Frames per clip for which the temporal embedding is made; it
            is interpolated for other lengths. Defaults to 8.
        in_channels (int): Channels of a frame. Defaults to 3.
        ssm_cfg (dict, optional): ``d_state`` (16), ``d_conv`` (4), ``expand`` (2),
            ``dt_rank`` ('auto') of :class:`MaskedResidualBiMamba`.
            Defaults to None.
        bimamba (str): Parameters of the backward scan, 'separate', 'shared' or
            'none'; see :class:`MaskedResidualBiMamba`. Defaults to 'separate'.
        scan_input (str): What is scanned, 'conv' or 'raw'; see
            :class:`MaskedResidualBiMamba`. Defaults to 'conv'.
        residual (bool): Start the scans from their first token.
            Defaults to False.
        masked (bool): Mask the diagonal of the backward scan. Defaults to False.
        drop_rate (float): Dropout of the embedded tokens. Defaults to 0.
        drop_path_rate (float): Stochastic depth of the last layer; the rate grows
            linearly from 0 in the first layer. Defaults to 0.1.
        norm_eps (float): Epsilon of the RMS norms. Defaults to 1e-5.
        pos_embed (str): 'learned' (one table for space and one for time) or
            'sincos3d' (fixed). Defaults to 'learned'.
        with_cls_token (bool): Put a class token in front of the patches.
            Defaults to True.
        out_type (str): 'cls_token', (N, C); 'avg_featmap', (N, C), the mean of the
            patch tokens; 'featmap', (N, C, T', H', W'); or 'raw', (N, L, C), all
            tokens. Always after the final norm. Defaults to 'cls_token'.
        scan_order (str): The order in which the layers scan the patches.
            'spatial_first', frame by frame, is the published one. 'temporal_first' goes
            place by place, through the frames of each. 'spatial_temporal',
            'temporal_spatial' and 'alternating' give each layer one of these two: the
            first half of the layers (rounded down) the one and the rest the other, or
            every other layer. In 'spatiotemporal_v1' the forward scans are
            spatial-first and the backward scans temporal-first; in 'spatiotemporal_v2'
            both directions scan in both orders with the same parameters, and all
            results are added. The paper compares these seven (figures 4 and 7a), but
            published code of the first alone. What v1 and v2 are is read from its text:
            v1 combines half of both orders, v2 all of both, at twice the computation.
            Checkpoints are the same for all. Defaults to 'spatial_first'.
        cls_position (str): Where the class token stands in what is scanned, whatever
            the order of the patches: 'first', 'last', or 'middle', after half of the
            patches (rounded down). Defaults to 'first', as published.
        frozen_stages (int): Freeze the embeddings and the first ``frozen_stages``
            layers (0: only the embeddings). Freezing all layers freezes the final norm
            too. -1 freezes nothing. Defaults to -1.
        with_cp (bool | str): Activation checkpointing of every layer: True computes
            the layer again in the backward pass, 'selection' only its convolutions and
            step sizes, which saves less memory and takes less time; see
            :class:`MaskedResidualBiMamba`. Defaults to False.
        weight_init (str): 'official' is the published rule. It sets the bias of
            ``dt_proj`` to 0, so a state forgets within a few tokens; it suits long
            training. 'mamba' is Mamba's own rule, with steps in [0.001, 0.1] and
            PyTorch's default for the projections; use it to train small models from
            scratch. Defaults to 'official'.
        init_cfg (dict, optional): MMEngine's initialisation, applied after
            ``weight_init``, for example ``dict(type='Pretrained', checkpoint=...)``.
            Both only take effect in ``init_weights()``, which MMEngine's runner calls
            before training. In plain Python, call it yourself; until then the weights
            are PyTorch's random ones. Defaults to None.

    Raises:
        ValueError: For an unknown ``arch``, ``pos_embed``, ``out_type``,
            ``scan_order``, ``cls_position``, ``weight_init`` or ``with_cp``, or for
            'cls_token' output or another ``cls_position`` without a class token.
    """

    arch_zoo = {
        'tiny': dict(embed_dims=192, depth=24),
        'small': dict(embed_dims=384, depth=24),
        'middle': dict(embed_dims=576, depth=32),
        'base': dict(embed_dims=768, depth=24),
    }

    def __init__(
        self,
        arch: str | dict = 'middle',
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        tubelet_size: int = 1,
        num_frames: int = 8,
        in_channels: int = 3,
        ssm_cfg: dict | None = None,
        bimamba: str = 'separate',
        scan_input: str = 'conv',
        residual: bool = False,
        masked: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        norm_eps: float = 1e-5,
        pos_embed: str = 'learned',
        with_cls_token: bool = True,
        out_type: str = 'cls_token',
        scan_order: str = 'spatial_first',
        cls_position: str = 'first',
        frozen_stages: int = -1,
        with_cp: bool | str = False,
        weight_init: str = 'official',
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        arch = self._arch(arch)
        self.embed_dims, self.depth = arch['embed_dims'], arch['depth']
        check_choice('pos_embed', pos_embed, ('learned', 'sincos3d'))
        check_choice('weight_init', weight_init, ('official', 'mamba'))
        check_choice(
            'out_type', out_type, ('cls_token', 'avg_featmap', 'featmap', 'raw')
        )
        if out_type == 'cls_token' and not with_cls_token:
            raise ValueError("out_type='cls_token' needs with_cls_token=True")
        check_choice('scan_order', scan_order, SCAN_ORDERS)
        check_choice('cls_position', cls_position, CLS_POSITIONS)
        if cls_position != 'first' and not with_cls_token:
            raise ValueError(f'cls_position={cls_position!r} needs with_cls_token=True')
        if not -1 <= frozen_stages <= self.depth:
            raise ValueError(
                f'frozen_stages must be in [-1, {self.depth}], but got {frozen_stages}'
            )
        self.pos_embed_type = pos_embed
        self.with_cls_token = with_cls_token
        self.out_type = out_type
        self.scan_order = scan_order
        self.cls_position = cls_position
        self.frozen_stages = frozen_stages
        self.weight_init = weight_init
        self.patch_shape = (tubelet_size, patch_size, patch_size)
        height, width = (img_size,) * 2 if isinstance(img_size, int) else img_size
        grid = self._grid((num_frames, height, width))
        self.spatial_grid = grid[1:]

        C = self.embed_dims
        proj = nn.Conv3d(in_channels, C, self.patch_shape, stride=self.patch_shape)
        self.patch_embed = nn.Sequential(OrderedDict(proj=proj))
        if with_cls_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, C))
        if pos_embed == 'learned':
            tokens = grid[1] * grid[2] + with_cls_token
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, C))
            self.temporal_pos_embedding = nn.Parameter(torch.zeros(1, grid[0], C))
        self.pos_drop = nn.Dropout(drop_rate)

        combined = {'spatiotemporal_v1': 'v1', 'spatiotemporal_v2': 'v2'}
        mixer_cfg = dict(
            spatiotemporal=combined.get(scan_order, 'none'),
            bimamba=bimamba,
            scan_input=scan_input,
            residual=residual,
            masked=masked,
            **(ssm_cfg or {}),
        )
        # The published code drops a layer's output where the next layer adds it, at
        # the next layer's rate; from the layer's own view that is this linear rule.
        last = max(self.depth - 1, 1)
        drop_path = [drop_path_rate * i / last for i in range(self.depth)]
        self.layers = nn.ModuleList(
            MambaBlock(C, rate, norm_eps, with_cp, mixer_cfg) for rate in drop_path
        )
        self.norm_f = nn.RMSNorm(C, eps=norm_eps)
        self._freeze()

    def _arch(self, arch: str | dict) -> dict:
        if isinstance(arch, str):
            check_choice('arch', arch, tuple(self.arch_zoo))
            return self.arch_zoo[arch]
        missing = {'embed_dims', 'depth'} - set(arch)
        if missing:
            raise ValueError(f'arch lacks {", ".join(sorted(missing))}: {arch}')
        return arch

    def _grid(self, clip: tuple[int, int, int]) -> tuple[int, int, int]:
        """Tokens along time, height and width of a (T, H, W) clip."""
        if any(n < p for n, p in zip(clip, self.patch_shape)):
            raise ValueError(
                f'a clip of {clip} (frames, height, width) is smaller than one '
                f'patch of {self.patch_shape}'
            )
        return tuple(n // p for n, p in zip(clip, self.patch_shape))

    def init_weights(self) -> None:
        """Initialise by ``weight_init``, then as ``init_cfg`` says."""
        if self.pos_embed_type == 'learned':
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        init_blocks(self.layers, self.weight_init)
        super().init_weights()

    def forward(self, x: Tensor, keep_indices: Tensor | None = None) -> Tensor:
        """Encode clips, or only their visible patches.

        With ``keep_indices`` the layers see only the chosen patches, each with its
        position in the whole clip, as one shorter sequence in the order of the
        indices; ascending indices keep raster order. Neighbourhood is taken in the
        shortened sequence: the convolution mixes visible tokens, VideoMambaPro's
        residual starts each scan from the first *visible* token in its direction, and
        its mask leaves out each visible token's own contribution, including that of
        the backward scan's first token. Hidden tokens and other samples have no
        influence. Where ``scan_order`` is temporal-first, the visible patches are
        scanned place by place, in whatever order the indices are; tokens are returned
        in the order of the indices all the same.

        Args:
            x (Tensor): Normalised clips, (N, in_channels, T, H, W).
            keep_indices (Tensor, optional): Visible patches of each clip, (N, K),
                int64, numbered in raster order from 0. Keep them on the CPU, where
                checking them does not wait for a GPU. Needs ``out_type='raw'``.
                Defaults to None (all patches).

        Returns:
            Tensor: See ``out_type``. Tokens follow the class token, frame by frame and
            row by row, or in the order of ``keep_indices``.

        Raises:
            ValueError: If ``x`` is not 5-D or is smaller than one patch, or if
                ``keep_indices`` do not fit it.
        """
        if keep_indices is not None and self.out_type != 'raw':
            raise ValueError(
                f"keep_indices need out_type='raw', but it is {self.out_type!r}"
            )
        return self.reduce(*self.encode(x, keep_indices))

    def encode(
        self, x: Tensor, keep_indices: Tensor | None = None
    ) -> tuple[Tensor, tuple[int, int, int]]:
        """Compute all tokens, whatever ``out_type`` is: first half of :meth:`forward`.

        Args:
            x (Tensor): Normalised clips, (N, in_channels, T, H, W).
            keep_indices (Tensor, optional): Visible patches, (N, K), as for
                :meth:`forward`, but with any ``out_type``. Defaults to None.

        Returns:
            tuple[Tensor, tuple[int]]: Tokens after the final norm, (N, L, C), class
            token first, and the grid of patches, (T', H', W').

        Raises:
            ValueError: As for :meth:`forward`.
        """
        if x.ndim != 5:
            raise ValueError(
                'VideoMamba expects clips (N, C, T, H, W), but got a tensor of shape '
                f'{tuple(x.shape)}; is the pipeline\'s FormatShape "NCTHW"?'
            )
        grid = self._grid(tuple(x.shape[2:]))
        x = self.patch_embed(x).flatten(2).mT  # (N, T' * H' * W', C)
        x = self.pos_drop(self._embed(x, grid, keep_indices))
        # the residual stream stays float32 under autocast
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        sequences = self.sequences(grid, keep_indices)
        temporal = self._second_order(sequences, grid, keep_indices)
        walked = None
        for block, walks in zip(self.layers, sequences):
            x = block(reorder(x, change(walked, walks)), temporal)
            walked = walks
        x = reorder(x, change(walked, None))
        return self.norm_f(x.to(self.norm_f.weight.dtype)), grid

    def sequences(
        self, grid: tuple[int, int, int], keep_indices: Tensor | None = None
    ) -> list[Tensor | None]:
        """The order in which each layer gets its tokens.

        Args:
            grid (tuple[int]): The grid of patches, (T', H', W').
            keep_indices (Tensor, optional): Visible patches, (N, K).
                Defaults to None (all).

        Returns:
            list[Tensor | None]: For each layer, indices of the tokens of
            :meth:`encode` in the order of the layer, (L,), or (N, L) with
            ``keep_indices``; None if the order is the same. Layers of one order share
            one tensor.
        """
        orders = layer_orders(self.scan_order, self.depth)
        found = {x: self._sequence(x, grid, keep_indices) for x in set(orders)}
        return [found[order] for order in orders]

    def _sequence(self, order, grid, keep_indices):
        cls_position = self.cls_position if self.with_cls_token else None
        device = self.norm_f.weight.device
        return sequence(grid, order, cls_position, keep_indices, device)

    def _second_order(self, sequences, grid, keep_indices):
        if not self.scan_order.startswith('spatiotemporal'):
            return None
        second = self._sequence('temporal_first', grid, keep_indices)
        return change(sequences[0], second)

    def reduce(self, x: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Reduce the tokens to the ``out_type``: the second half of :meth:`forward`.

        Args:
            x (Tensor): Tokens, (N, L, C), from :meth:`encode`.
            grid (tuple[int]): The grid of patches, from :meth:`encode`.

        Returns:
            Tensor: The output that ``out_type`` describes.
        """
        if self.out_type == 'raw':
            return x
        if self.out_type == 'cls_token':
            return x[:, 0]
        patches = x[:, int(self.with_cls_token) :]
        if self.out_type == 'avg_featmap':
            return patches.mean(1)
        return patches.mT.unflatten(2, grid)

    def _embed(
        self, x: Tensor, grid: tuple[int, int, int], keep_indices: Tensor | None
    ) -> Tensor:
        """Add positions to the patch tokens, select some, put the class token first."""
        if self.pos_embed_type == 'learned':
            space = resize_pos_embed(self.pos_embed, self.spatial_grid, grid[1:])
            time = resize_temporal_embed(self.temporal_pos_embedding, grid[0])
            of_cls_token = space[:, : int(self.with_cls_token)]
            space = space[:, int(self.with_cls_token) :]
            # (1, T', 1, C) + (1, 1, H' * W', C)
            position = (time[:, :, None] + space[:, None]).flatten(1, 2)
        else:
            position = sincos_pos_embed(grid, self.embed_dims).to(x)
            of_cls_token = 0
        x = x + position
        if keep_indices is not None:
            x = gather_tokens(x, keep_indices)
        if self.with_cls_token:
            # the class token has a spatial position but no temporal one
            cls_token = (self.cls_token + of_cls_token).to(x.dtype)
            x = torch.cat([cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen = [self.patch_embed, self.pos_drop, *self.layers[: self.frozen_stages]]
        if self.frozen_stages == self.depth:
            frozen.append(self.norm_f)
        for module in frozen:
            module.eval()
            module.requires_grad_(False)
        for name in self.no_weight_decay():
            if hasattr(self, name):
                getattr(self, name).requires_grad_(False)

    def train(self, mode: bool = True) -> VideoMamba:
        """Switch mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        if mode:
            self._freeze()
        return self

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that the published optimizer does not decay.

        It does not decay biases and other 1-D parameters either, but it does decay
        the 2-D ones among the mixer's STATES.
        """
        return {'pos_embed', 'cls_token', 'temporal_pos_embedding'}

    def get_layer_depth(
        self, param_name: str, prefix: str = 'backbone.'
    ) -> tuple[int, int]:
        """Layer id of a parameter, for layer-wise learning rate decay.

        Same interface as mmpretrain's backbones.

        Args:
            param_name (str): Name in the whole model.
            prefix (str): Prefix of the backbone's parameters in that model.
                Defaults to 'backbone.'.

        Returns:
            tuple[int, int]: The layer id: 0 for the embeddings, 1 + i for layer i,
            depth + 1 for what follows; and the number of ids, depth + 2.
        """
        num_ids = self.depth + 2
        if not param_name.startswith(prefix):
            return num_ids - 1, num_ids
        name = param_name[len(prefix) :]
        if name in self.no_weight_decay() or name.startswith('patch_embed.'):
            return 0, num_ids
        if name.startswith('layers.'):
            return 1 + int(name.split('.')[1]), num_ids
        return num_ids - 1, num_ids


@MODELS.register_module()
class VideoMambaPro(VideoMamba):
    """VideoMamba with residual scans and a masked backward scan.

    `VideoMambaPro: A Leap Forward for Mamba in Video Understanding
    <https://arxiv.org/abs/2406.19006>`_ (ICCV 2025 as "Snakes and Ladders: Two
    Steps Up for VideoMamba"). Only two defaults differ from :class:`VideoMamba`.

    Args:
        residual (bool): Start the scans from their first token. Defaults to True.
        masked (bool): Mask the diagonal of the backward scan. Defaults to True.
        **kwargs: All other arguments of :class:`VideoMamba`.
    """

    def __init__(self, *args, residual: bool = True, masked: bool = True, **kwargs):
        super().__init__(*args, residual=residual, masked=masked, **kwargs)
