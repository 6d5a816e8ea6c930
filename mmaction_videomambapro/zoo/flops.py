"""Parameters and multiply-adds of a model, counted on the meta device.

PyTorch's counter sees every matrix product, convolution and attention that runs, in
any module, and meta tensors make that run free of computation. MMEngine's analyzer
has to trace the model, which fails on meta tensors and elsewhere takes as long as
running the model; it would also need a handle for each device's scan.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import astuple, dataclass

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..models.backbones import VideoMamba
from ..models.layers.mixer import PROJECTIONS, MaskedResidualBiMamba
from ..ops.backends import META_SCAN

# As is customary for Mamba (state-spaces/mamba#110): products with A, B and C, the
# exponential, and the state update, per token, channel and state.
SCAN_FLOPS = 9


@dataclass(frozen=True)
class Complexity:
    """The cost of a model.

    Attributes:
        parameters (int): Number of parameters.
        macs (int): Multiply-adds of a forward pass (one multiply-add is two FLOPs) in
            matrix products, convolutions, attention and scans; element-wise operations
            are not counted. Papers and OpenMMLab call multiply-adds FLOPs.
        scan_macs (int): The part of them in scans.
        projection_macs (int | None): The part of them in the mixers' ``in_proj`` and
            ``out_proj`` and in the patch embedding, which is all that the figures in
            VideoMamba's paper contain; None for models without such mixers.
    """

    parameters: int
    macs: int
    scan_macs: int
    projection_macs: int | None


def complexity(cfg: Config, shape: tuple[int, ...]) -> Complexity:
    """Count the model of a config.

    All layers of a VideoMamba cost the same, so networks of one and two layers give the
    cost of any number. Of a grid of probes only one is counted, because the others are
    not kept. A teacher is not counted.

    Args:
        cfg (Config): With a ``model``, a recognizer.
        shape (tuple[int]): Shape of one sample's inputs, as for :func:`count`.

    Returns:
        Complexity: The cost for these inputs.
    """
    cfg = deepcopy(cfg)
    if 'weight_decays' in cfg.model.get('cls_head', {}):
        cfg.model.cls_head.update(lrs=[1e-3], weight_decays=[0.0])
    if cfg.model.pop('teacher', None):
        cfg.model.pop('loss_weight', None)
        cfg.model.type = 'Recognizer3D'
    arch = cfg.model.backbone.get('arch')
    if isinstance(arch, str) and arch in VideoMamba.arch_zoo:
        arch = VideoMamba.arch_zoo[arch]
    if not isinstance(arch, dict) or 'depth' not in arch:
        return count(build_on_meta(cfg), shape)
    found = []
    for depth in (1, 2):
        cfg.model.backbone.arch = {**arch, 'depth': depth}
        if 'frozen_stages' in cfg.model.backbone:
            cfg.model.backbone.frozen_stages = -1
        found.append(astuple(count(build_on_meta(cfg), shape)))
    more = arch['depth'] - 1
    return Complexity(*(one + more * (two - one) for one, two in zip(*found)))


def build_on_meta(cfg: Config) -> nn.Module:
    """Build a config's model without allocating memory for its parameters.

    Args:
        cfg (Config): With a ``model``, a recognizer.

    Returns:
        nn.Module: In evaluation mode.
    """
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    model = deepcopy(cfg.model)
    preprocessor = model.pop('data_preprocessor', None)
    if preprocessor is not None:  # its mixup computes while it is built
        MODELS.build(preprocessor)
    with torch.device('meta'), _LinspaceHasValues():
        model = MODELS.build(model)
    # the counter cannot track views of parameters that require gradients
    return model.to('meta').eval().requires_grad_(False)


class _LinspaceHasValues(TorchFunctionMode):
    """Keeps linspace off the meta device: models read drop path rates from it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs.setdefault('device', 'cpu')
        return func(*args, **kwargs)


def count(model: nn.Module, shape: tuple[int, ...]) -> Complexity:
    """Count a recognizer, its head included.

    Args:
        model (nn.Module): From :func:`build_on_meta`.
        shape (tuple[int]): Shape of one sample's inputs: (views, C, T, H, W) for a
            Recognizer3D, (segments, C, H, W) for a Recognizer2D.

    Returns:
        Complexity: The cost for these inputs.
    """
    scan = META_SCAN.scan.op.overloadpacket
    counter = FlopCounterMode(display=False, custom_mapping={scan: _scan_flops})
    with torch.no_grad(), counter:
        model(torch.empty(1, *shape, device='meta'), stage='head')
    counts = counter.get_flop_counts()
    projections = [
        sum(counts[f'{type(model).__name__}.{name}'].values())
        for name in _projection_modules(model)
    ]
    return Complexity(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=counter.get_total_flops() // 2,
        scan_macs=counts['Global'].get(scan, 0) // 2,
        projection_macs=sum(projections) // 2 if projections else None,
    )


def _scan_flops(z, u, delta, A, B, C, D, delta_bias, u_2, *_, **__):
    """Takes shapes, in the order of the operator's arguments."""
    batch, _, length = u
    directions = 1 if u_2 is None else 2
    return SCAN_FLOPS * directions * batch * length * A[0] * A[1]


def _projection_modules(model):
    modules = dict(model.named_modules())
    mixers = [k for k, m in modules.items() if isinstance(m, MaskedResidualBiMamba)]
    names = [f'{mixer}.{name}' for mixer in mixers for name in PROJECTIONS]
    return names and [*names, *(k for k in modules if k.endswith('patch_embed'))]
