"""Configs for mmpretrain decay what was decayed; they are read without mmpretrain."""

import re

import pytest
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from tests.conftest import ROOT

CONFIGS = sorted((ROOT / 'configs/image_classification/mmpretrain').glob('*.py'))
# what mmpretrain's schedule for Swin says
SWIN = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_embeddings_and_states_are_not_decayed(path):
    text = re.sub(r'_base_ = \[.*?\]\n', '', path.read_text(), flags=re.S)
    cfg = Config.fromstring(text, '.py')
    name = cfg.model.backbone.type.removeprefix('Image')
    model = nn.Module()
    model.backbone = MODELS.build(
        dict(type=f'mmaction.{name}', arch=dict(embed_dims=16, depth=2), img_size=32,
             num_frames=1)
    )  # fmt: skip
    model.head = nn.Linear(16, 10)
    constructor = DefaultOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=1, weight_decay=0.05)),
        dict(**SWIN, **cfg.optim_wrapper.paramwise_cfg),
    )
    groups = constructor(model).optimizer.param_groups
    decays = {id(p): g['weight_decay'] for g in groups for p in g['params']}
    decayed = {n for n, p in model.named_parameters() if decays[id(p)]}
    embeddings = {f'backbone.{name}' for name in model.backbone.no_weight_decay()}
    expected = {
        n
        for n, p in model.named_parameters()
        if p.ndim > 1 and n not in embeddings and not n.endswith(('A_log', 'A_b_log'))
    }
    assert decayed == expected
    assert len(decayed) < len(decays)
