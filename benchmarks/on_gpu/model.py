"""The whole backbone, beside MMAction2's VideoMAE on PyTorch's fused attention."""

from __future__ import annotations

import traceback

import torch
from torch import nn
from torch.nn import functional as F

from .device import Plan, forced, heading, megabytes, milliseconds
from .report import Report


class ScaledDotProduct(nn.Module):
    """MMAction2's VideoMAE attention on PyTorch's fused kernel."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x):
        a = self.attention
        bias = torch.cat((a.q_bias, torch.zeros_like(a.v_bias), a.v_bias))
        qkv = F.linear(x, a.qkv.weight, bias).unflatten(-1, (3, a.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, scale=a.scale)
        return a.proj(y.transpose(1, 2).flatten(2))


def run(stage: str, report: Report, plan: Plan) -> None:
    compare(report, plan)


def compare(report: Report, plan: Plan, backend: str = 'triton') -> None:
    """Print clips per second, in bfloat16; VideoMAE beside our kernels only."""
    report.line(heading(plan))
    for frames in plan.frames:
        batch = max(1, plan.clips * 8 // frames)
        clip = make_clip(plan, batch, frames)
        report.table(
            f'{batch} clips of {frames} frames, {plan.pixels} pixels high, bfloat16',
            *(f'{p} {c}' for p in ('test', 'train') for c in ('clips/s', 'MB')),
        )
        for arch in plan.archs:
            net = make_net(plan, arch, frames)
            with forced(backend):
                _measure(report, f'VideoMambaPro {arch}, {backend}', net, clip)
        if backend == 'triton':
            arch = plan.archs[-1]
            net = make_net(plan, arch, frames, with_cp='selection')
            with forced(backend):
                name = f"VideoMambaPro {arch}, {backend}, with_cp='selection'"
                _measure(report, name, net, clip)
            net = _make_vit(plan, frames)
            _measure(report, 'VideoMAE ViT base, SDPA', net, clip)


def make_clip(plan, batch, frames):
    return torch.randn(batch, 3, frames, plan.pixels, plan.pixels, device=plan.device)


def make_net(plan, arch, frames, **options):
    from mmaction_videomambapro.models import VideoMambaPro

    net = VideoMambaPro(arch=arch, num_frames=frames, img_size=plan.pixels, **options)
    return net.to(plan.device)


def _make_vit(plan, frames):
    from mmaction.registry import MODELS

    size = dict(img_size=plan.pixels, num_frames=frames, **plan.vit)
    net = MODELS.build(dict(type='mmaction.VisionTransformer', **size))
    for block in net.blocks:
        block.attn = ScaledDotProduct(block.attn)
    return net.to(plan.device)


def passes(net, clip):
    """A forward pass and a training step without optimizer, under autocast."""
    kind = clip.device.type

    def infer():
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16):
            net(clip)

    def train():
        net.zero_grad()
        with torch.autocast(kind, torch.bfloat16):
            loss = net(clip).float().square().mean()
        loss.backward()

    return infer, train


def _measure(report, name, net, clip):
    cells = []
    for training, function in zip((False, True), passes(net, clip)):
        net.train(training)
        try:
            ms = milliseconds(function)
            cells += [1e3 * len(clip) / ms, megabytes(function)]
        except torch.cuda.OutOfMemoryError:
            traceback.print_exc()
            cells += ['out of memory', '']
    report.row(name, *cells)
