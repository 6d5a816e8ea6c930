"""The whole backbone: time, and where it goes.

    python benchmarks/model.py --arch tiny --frames 8 16
    python benchmarks/model.py --device cuda

On a CPU, prints for one clip of 224 x 224 pixels, the time of a forward pass and of a
training step; what the backbone's matrix products take alone; the same backbone on
the naive scan, where it fits; and MMAction2's VideoMAE ViT on the same clip.
"""

from __future__ import annotations

import argparse
import os

import torch
from common import header, machine, megabytes, milliseconds, row
from mmaction.registry import MODELS
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from mmaction_videomambapro.engine.memory import keep_freed_memory
from mmaction_videomambapro.models import VideoMambaPro
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE

# MMAction2's VideoMAE: the width of 'tiny' lies below what it knows
VIT = {
    'small': dict(embed_dims=384, depth=12, num_heads=6),
    'base': dict(embed_dims=768, depth=12, num_heads=12),
}
VIT_TRAINS = 16  # frames: its attention matrices take more memory than most have
NAIVE = 'tiny', 8  # larger ones take more than 10 GB


def passes(net, clip):
    """A forward pass and a training step."""

    def infer():
        with torch.no_grad():
            net(clip)

    def train():
        net.zero_grad()
        net(clip).square().sum().backward()

    return infer, train


def products_of(net, tokens):
    """The backbone's matrix products and nothing else."""
    weights = [m.weight for m in net.modules() if isinstance(m, torch.nn.Linear)]
    inputs = {w.shape[1]: torch.randn(tokens, w.shape[1]) for w in weights}
    x = {n: t.requires_grad_() for n, t in inputs.items()}

    def infer():
        with torch.no_grad():
            for weight in weights:
                F.linear(x[weight.shape[1]], weight)

    def train():
        for weight in weights:
            F.linear(x[weight.shape[1]], weight).sum().backward()

    return infer, train


def shares(function):
    """Which part of the time the operators take, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        function()
    averages = trace.key_averages()
    total = sum(a.self_cpu_time_total for a in averages)
    parts = {'scan': 0.0, 'convolution': 0.0, 'products': 0.0}
    for a in averages:
        name = a.key.lower()
        if '::selective_scan' in name:
            parts['scan'] += a.self_cpu_time_total
        elif '::causal_conv1d' in name:
            parts['convolution'] += a.self_cpu_time_total
        elif name in ('aten::mm', 'aten::addmm', 'aten::bmm'):
            parts['products'] += a.self_cpu_time_total
    parts['rest'] = total - sum(parts.values())
    return ', '.join(f'{name} {part / total:.0%}' for name, part in parts.items())


def measure(name, functions, base=None, backward=True):
    infer = milliseconds(functions[0], seconds=2)
    if not backward:
        row(name, infer, *('',) * 4)
        return infer, None
    train = milliseconds(functions[1], seconds=2)
    cells = [infer, train, megabytes(functions[1])]
    ratios = ['', ''] if base is None else [infer / base[0], train / base[1]]
    row(name, *cells, *ratios)
    return infer, train


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--arch', nargs='+', default=['tiny', 'small', 'middle'])
    parser.add_argument('--frames', nargs='+', type=int)
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    args = parser.parse_args()
    if args.device == 'cuda':
        import gpu

        gpu.compare_models(args.arch, args.frames or gpu.FRAMES)
        return
    keep_freed_memory()
    print(machine())
    for frames in args.frames or (8, 16):
        clip = torch.randn(1, 3, frames, 224, 224)
        print(f'\n{frames} frames of 224 x 224, {frames * 196 + 1} tokens\n')
        figures = 'forward ms', 'step ms', 'step MB'
        header('', *figures, 'of forward above', 'of step above')
        for arch in args.arch:
            torch.manual_seed(0)
            net = VideoMambaPro(arch=arch, num_frames=frames)
            base = measure(f'VideoMambaPro {arch}', passes(net, clip))
            products = products_of(net, frames * 196 + 1)
            measure(f'{arch}: its products alone', products, base)
            if (arch, frames) == NAIVE:
                os.environ[FORCE_VARIABLE] = 'naive'
                measure(f'{arch}: on the naive scan', passes(net, clip), base)
                del os.environ[FORCE_VARIABLE]
            row(f'{arch}, forward: {shares(passes(net, clip)[0])}', *('',) * 5)
        for name, size in VIT.items():
            vit = MODELS.build(
                dict(type='VisionTransformer', img_size=224, num_frames=frames, **size)
            )
            measure(
                f'VideoMAE ViT {name} (tubelets of 2)',
                passes(vit, clip),
                backward=frames <= VIT_TRAINS,
            )


if __name__ == '__main__':
    main()
