"""A small model of random weights, as MMEngine saves one."""

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmaction_videomambapro.apis.inferencer import VideoInferencer
from tests.conftest import DEMO_CONFIG, ROOT


@pytest.fixture(scope='session')
def model_options():
    """What makes the demo's model small."""
    return {
        'model.backbone.arch.embed_dims': 32,
        'model.backbone.arch.depth': 2,
        'model.cls_head.in_channels': 32,
        'test_dataloader.num_workers': 0,
    }


@pytest.fixture(scope='session')
def config(model_options):
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    cfg.merge_from_dict(model_options)
    return cfg


@pytest.fixture(scope='session')
def checkpoint(config, tmp_path_factory):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(config.model)
    path = tmp_path_factory.mktemp('trained') / 'epoch_1.pth'
    meta = dict(cfg=config.pretty_text)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='session')
def inferencer(checkpoint):
    """From the checkpoint alone."""
    return VideoInferencer(checkpoint, device='cpu')
