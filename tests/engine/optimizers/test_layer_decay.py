"""Learning rates and weight decays of every parameter, by the two rules."""

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

pytestmark = pytest.mark.base

DEPTH = 4


@pytest.fixture(scope='module')
def model():
    init_default_scope('mmaction')
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(
                type='VideoMamba',
                arch=dict(embed_dims=16, depth=DEPTH),
                num_frames=2,
                img_size=32,
            ),
            cls_head=dict(type='TimeSformerHead', num_classes=3, in_channels=16),
        )
    )


def settings(model, **paramwise_cfg):
    """(lr, weight decay) of each parameter, of lr 1 and weight decay 0.1."""
    init_default_scope('mmaction')
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise_cfg,
        ),
    )
    names = {id(p): name for name, p in model.named_parameters()}
    found = {}
    for group in wrapper.optimizer.param_groups:
        for param in group['params']:
            found[names.pop(id(param))] = group['lr'], group['weight_decay']
    assert not names  # each parameter once
    return found


def test_released_rule(model):
    """Blocks, temporal embedding and head at the full rate; A_log decayed."""
    found = settings(model, layer_decay=0.5, stem_only=True, decay_states=True)
    for name, (lr, decay) in found.items():
        stem = name.startswith(
            ('backbone.patch_embed', 'backbone.pos_embed', 'backbone.cls_token')
        )
        assert lr == (0.5 ** (DEPTH + 1) if stem else 1), name
        undecayed = ('cls_token', 'pos_embed', 'temporal_pos_embedding')
        flat = model.get_parameter(name).ndim <= 1
        assert decay == (0 if flat or name.endswith(undecayed) else 0.1), name
    assert found['backbone.layers.0.mixer.A_log'] == (1, 0.1)


def test_proper_rule(model):
    found = settings(model, layer_decay=0.5)
    for layer in range(DEPTH):
        prefix = f'backbone.layers.{layer}.mixer'
        lr = 0.5 ** (DEPTH - layer)
        assert found[f'{prefix}.in_proj.weight'] == (lr, 0.1)
        for name in ('A_log', 'A_b_log', 'D', 'D_b', 'dt_proj.bias'):
            assert found[f'{prefix}.{name}'] == (lr, 0)
    assert found['backbone.temporal_pos_embedding'] == (0.5 ** (DEPTH + 1), 0)
    assert found['backbone.norm_f.weight'] == (1, 0)
    assert found['cls_head.fc_cls.weight'] == (1, 0.1)
    assert {lr for lr, _ in settings(model).values()} == {1}


def test_frozen_parameters_stay_out(model):
    model.requires_grad_(False)
    model.cls_head.requires_grad_(True)
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=1.0),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay=0.5),
        ),
    )
    model.requires_grad_(True)
    count = sum(len(group['params']) for group in wrapper.optimizer.param_groups)
    assert count == 2


def test_unknown_names_are_reported(model):
    with pytest.raises(ValueError, match='unknown paramwise_cfg decay_rate, expected'):
        settings(model, decay_rate=0.5)
    other = torch.nn.Module()
    other.backbone = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match='Linear has no get_layer_depth'):
        settings(other, layer_decay=0.5)
