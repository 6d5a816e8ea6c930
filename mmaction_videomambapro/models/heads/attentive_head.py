"""Classification by a learned query that attends to all tokens."""

from __future__ import annotations

import torch
from mmaction.models.backbones.vit_mae import Block
from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.attention import init_attention_blocks, init_linear


@MODELS.register_module()
class AttentiveHead(BaseHead):
    """The attentive probe of V-JEPA, for ``Recognizer3D``.

    One learned query attends to the tokens of a frozen backbone (arXiv 2404.08471);
    with ``depth`` above 1, layers of self-attention come first (V-JEPA 2, arXiv
    2506.09985). The query attends to all clips of a video at once, separately for each
    crop; ``average_clips`` sets how the scores of the crops are averaged.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels C of the tokens.
        num_heads (int): Attention heads; a divisor of C. Defaults to 12.
        depth (int): 1 to 4 layers, including the one with the query. Defaults to 1.
        num_clips (int): Clips per video that are attended together. The pipelines
            have to sample that many, in training too. Defaults to 1.
        mlp_ratio (float): Hidden channels of a layer, divided by C. Defaults to 4.
        use_out_proj (bool): Project the attended values. V-JEPA's released probes have
            this layer but do not apply it; those of V-JEPA 2 do not have it.
            Defaults to False.
        **kwargs: Arguments of MMAction2's ``BaseHead``, such as
            ``average_clips='prob'``.

    Raises:
        ValueError: If ``depth`` or ``num_heads`` is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_heads: int = 12,
        depth: int = 1,
        num_clips: int = 1,
        mlp_ratio: float = 4,
        use_out_proj: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        if not 1 <= depth <= 4:
            raise ValueError(f'depth must be in [1, 4], but is {depth}')
        if num_heads < 1 or in_channels % num_heads:
            raise ValueError(
                f'num_heads must divide in_channels={in_channels}, but is {num_heads}'
            )
        self.num_heads, self.num_clips = num_heads, num_clips
        C = in_channels
        self.blocks = nn.ModuleList(
            Block(C, num_heads, mlp_ratio, norm_cfg=dict(type='LN'))
            for _ in range(depth - 1)
        )
        self.query = nn.Parameter(torch.zeros(1, 1, C))
        self.norm1 = nn.LayerNorm(C)
        self.q, self.kv = nn.Linear(C, C), nn.Linear(C, 2 * C)
        self.proj = nn.Linear(C, C) if use_out_proj else nn.Identity()
        self.norm2 = nn.LayerNorm(C)
        hidden = int(C * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(C, hidden), nn.GELU(), nn.Linear(hidden, C))
        self.fc_cls = nn.Linear(C, num_classes)

    def init_weights(self) -> None:
        """Initialise as V-JEPA 2 does, then apply ``init_cfg``.

        Truncated normal with std 0.02, except for the classifier, which keeps PyTorch's
        default. Output layers are divided by the square root of 2 i, where i is the
        number of their self-attention layer; the query's by that of the last layer.
        """
        init_attention_blocks(self.blocks)
        nn.init.trunc_normal_(self.query, std=0.02)
        for layer in (self.q, self.kv, self.proj, self.mlp[0], self.mlp[2]):
            if isinstance(layer, nn.Linear):
                init_linear(layer)
        with torch.no_grad():
            outputs = [self.mlp[2]]
            if isinstance(self.proj, nn.Linear):
                outputs.append(self.proj)
            for layer in outputs:
                layer.weight /= (2 * max(1, len(self.blocks))) ** 0.5
        self.fc_cls.reset_parameters()
        super().init_weights()

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        """Classify.

        Args:
            x (Tensor): Tokens of clips, (B * crops * num_clips, L, C), with the clips
                of a crop next to each other, as ``Recognizer3D`` passes them.
            **kwargs: Further arguments that recognizers pass; not used.

        Returns:
            Tensor: Scores, (B * crops, num_classes).

        Raises:
            ValueError: If ``x`` is not 3-D, or its number of clips is not a multiple
                of ``num_clips``.
        """
        if x.ndim != 3:
            raise ValueError(
                'AttentiveHead expects tokens (N, L, C), but got a tensor of shape '
                f"{tuple(x.shape)}; does the backbone have out_type='raw'?"
            )
        if x.shape[0] % self.num_clips:
            raise ValueError(
                f'{x.shape[0]} clips cannot be divided into videos of num_clips='
                f'{self.num_clips}: make the pipeline sample as many per video'
            )
        x = x.unflatten(0, (-1, self.num_clips)).flatten(1, 2)
        for block in self.blocks:
            x = block(x)
        query = self.query.expand(x.shape[0], -1, -1)
        query = query + self._attend(query, self.norm1(x))
        query = query + self.mlp(self.norm2(query))
        return self.fc_cls(query.squeeze(1))

    def _attend(self, query, x):
        q = self.q(query).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        k, v = (
            t.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for t in self.kv(x).chunk(2, dim=-1)
        )
        out = F.scaled_dot_product_attention(q, k, v)  # (B, heads, 1, C / heads)
        return self.proj(out.transpose(1, 2).flatten(2))
