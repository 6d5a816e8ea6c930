"""Why a model answers so: time and memory of each method, against a training step.

    python benchmarks/explain.py

For the model of the demo and VideoMambaPro Tiny, one clip each. The bars are 10 times
the time of a training step (forward and backward) and twice its memory.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from common import header, machine, megabytes, milliseconds, row
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope
from torch.nn import functional as F

from mmaction_videomambapro.engine.memory import keep_freed_memory
from mmaction_videomambapro.explain.relevance import METHODS, relevance

DEMO = dict(
    arch=dict(embed_dims=64, depth=4),
    img_size=48,
    patch_size=8,
    tubelet_size=2,
    num_frames=8,
    ssm_cfg=dict(d_state=8),
    out_type='avg_featmap',
)
TINY = dict(arch='tiny', num_frames=16)
MODELS_AND_CLIPS = {
    'the demo, 8 frames of 48 x 48': (64, DEMO, (8, 48, 48)),
    'Tiny, 16 frames of 224 x 224': (192, TINY, (16, 224, 224)),
}


def build(channels, backbone):
    head = dict(type='TimeSformerHead', num_classes=8, in_channels=channels)
    backbone = dict(type='VideoMambaPro', **backbone)
    with DefaultScope.overwrite_default_scope('mmaction'):
        return MODELS.build(
            dict(type='Recognizer3D', backbone=backbone, cls_head=head)
        ).eval()


def training_step(model, clip):
    label = torch.zeros(len(clip), dtype=torch.long)

    def step():
        model.zero_grad()
        F.cross_entropy(model.cls_head(model.backbone(clip)), label).backward()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seconds', type=float, default=5, help='per figure')
    args = parser.parse_args()
    keep_freed_memory()
    print(machine())
    for name, (channels, backbone, size) in MODELS_AND_CLIPS.items():
        torch.manual_seed(0)
        model, clip = build(channels, backbone), torch.randn(1, 3, *size)
        print(f'\n{name}\n')
        header('', 'ms', 'MB', 'of the time of a step', 'of its memory')
        step = training_step(model, clip)
        base = milliseconds(step, args.seconds), megabytes(step)
        model.zero_grad()
        row('training step', *base, '', '')
        for method in METHODS:
            explain = partial(relevance, model, clip, method=method)
            cost = milliseconds(explain, args.seconds), megabytes(explain)
            row(method, *cost, *(own / step for own, step in zip(cost, base)))


if __name__ == '__main__':
    main()
