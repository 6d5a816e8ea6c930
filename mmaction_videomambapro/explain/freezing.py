"""A network that is linear in its input: a twin whose factors are held fixed.

Explanations that share a score out among its inputs take the network as linear around
one input. MambaLRP (arXiv 2406.07592) does it with few changes to the backward pass:
the steps, B and C of a scan, the sigmoid of each SiLU and the scale of each norm count
as constants, and the two sides of a gate take half of their product each. Softmax and
GELU are held alike in MMAction2's VisionTransformer. The values do not change, so the
gradient times the input, summed over the input and over the constants that are added on
the way, is the score.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmaction.models.backbones.vit_mae import Attention
from mmaction.models.losses.base import BaseWeightedLoss
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..models.heads import AttentiveHead
from ..models.layers.mixer import MaskedResidualBiMamba
from ..ops import causal_conv1d


def twin_of(model: nn.Module, frozen: bool = False) -> Any:
    """A second model on the same weights, in evaluation mode, that trains nothing.

    The model itself is not touched, so others may use it at the same time.

    Args:
        model (nn.Module): Any model.
        frozen (bool): Hold the factors fixed, see above. Defaults to False.

    Returns:
        nn.Module: The twin; its parameters share their memory with the model's.

    Raises:
        UsageError: If ``frozen`` and the model holds a layer that is not linear, and
            for which there is no rule here.
    """
    return _twin(model, frozen, {})


def _twin(module, frozen, made):
    if module in made:  # layers may be shared
        return made[module]
    twin = made[module] = copy.copy(module)
    for name, value in vars(module).items():
        if isinstance(value, dict):  # parameters, buffers, layers, hooks
            vars(twin)[name] = copy.copy(value)
    twin.training = False
    twin._parameters = {
        name: None if x is None else x.detach()
        for name, x in module._parameters.items()
    }
    if frozen:
        twin.__class__ = _frozen_class(module)
    for name, child in module._modules.items():
        if child is not None:
            twin._modules[name] = _twin(child, frozen, made)
    return twin


def _frozen_class(module):
    kind = type(module)
    if kind in _FROZEN:
        return _FROZEN[kind]
    is_leaf = not any(module.children())
    if isinstance(module, tuple(_FROZEN)) or (
        is_leaf and not isinstance(module, _AS_IS)
    ):
        raise UsageError(
            f'there is no rule to hold the layer {kind.__name__} of this model fixed: '
            "use the method 'gradient' or 'gradcam'"
        )
    return kind


def gated(x: Tensor) -> Tensor:
    """SiLU with its sigmoid held fixed."""
    return x * x.detach().sigmoid()


class FrozenMixer(MaskedResidualBiMamba):
    """The mixer, linear but for its gate, of which each side takes a half."""

    def mix(self, x: Tensor, z: Tensor, directions: tuple[str, ...]) -> Tensor:
        """Convolve, scan and gate tokens (B, Di, L)."""
        y = self.scan(self.arguments(x, directions)) * gated(z)
        return y.lerp(y.detach(), 0.5)

    def select(self, x: Tensor, suffix: str) -> tuple[Tensor, ...]:
        with torch.no_grad():
            _, *selection = super().select(x, suffix)
        if self.scan_input == 'raw':
            return x, *selection
        conv1d = getattr(self, f'conv1d{suffix}')
        conv = causal_conv1d(
            x, conv1d.weight.squeeze(1), conv1d.bias, reverse=bool(suffix)
        )
        return gated(conv), *selection


class FrozenRMSNorm(nn.RMSNorm):
    """Divides by a scale that is held fixed."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with the channels last."""
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        x = x * (x.detach().square().mean(-1, keepdim=True) + eps).rsqrt()
        return x if self.weight is None else x * self.weight


class FrozenLayerNorm(nn.LayerNorm):
    """Takes the mean away, and divides by a scale that is held fixed."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with the channels last."""
        x = x - x.mean(-1, keepdim=True)
        x = x * (x.detach().square().mean(-1, keepdim=True) + self.eps).rsqrt()
        x = x if self.weight is None else x * self.weight
        return x if self.bias is None else x + self.bias


class FrozenGELU(nn.GELU):
    """Multiplies by a share that is held fixed."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        share = super().forward(x.detach()) / x.detach()
        return x * share.nan_to_num(0.5)  # 0 / 0


class FrozenAttention(Attention):
    """Self-attention of MMAction2's VisionTransformer, with fixed weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, (B, L, C) -> (B, L, C)."""
        q, k, v = self.heads(x)
        q, k = q.detach(), k.detach()  # what is left comes from the values
        x = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(x.transpose(1, 2).flatten(2))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, heads, L, C / heads)."""
        bias = None
        if hasattr(self, 'q_bias'):
            no_bias = torch.zeros_like(self.v_bias)
            bias = torch.cat([self.q_bias, no_bias, self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias)
        return tuple(qkv.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4))


class FrozenAttentiveHead(AttentiveHead):
    """The attentive head, with fixed weights of the query's attention."""

    def _attend(self, query, x):
        q, (k, v) = self.q(query), self.kv(x).chunk(2, dim=-1)
        q, k, v = (
            t.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v)
        )
        out = F.scaled_dot_product_attention(q.detach(), k.detach(), v)
        return self.proj(out.transpose(1, 2).flatten(2))


_FROZEN = {
    MaskedResidualBiMamba: FrozenMixer,
    Attention: FrozenAttention,
    AttentiveHead: FrozenAttentiveHead,
    nn.RMSNorm: FrozenRMSNorm,
    nn.LayerNorm: FrozenLayerNorm,
    nn.GELU: FrozenGELU,
}
# innermost layers that are linear in evaluation mode, or take no part
_AS_IS = (
    nn.Linear, nn.Conv3d, nn.Conv1d, nn.AdaptiveAvgPool3d, nn.Identity, nn.Dropout,
    nn.ReLU, DropPath, nn.ModuleList, BaseWeightedLoss,
)  # fmt: skip
