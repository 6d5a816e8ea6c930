"""mmpretrain's ImageClassifier takes the backbones; skipped where it is absent."""

import importlib

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tests.conftest import ROOT

CONFIGS = sorted((ROOT / 'configs/image_classification/mmpretrain').glob('*.py'))


@pytest.fixture(autouse=True)
def scope():
    try:  # torchvision, which it needs, can be there and broken
        importlib.import_module('mmpretrain.models')
    except (ImportError, RuntimeError) as error:
        pytest.skip(f'mmpretrain: {error}')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_classifies_and_learns(path):
    from mmpretrain.registry import MODELS
    from mmpretrain.structures import DataSample

    cfg = Config.fromfile(path)
    cfg.model.backbone.update(arch=dict(embed_dims=16, depth=2), img_size=32)
    cfg.model.head.in_channels = 16
    model = MODELS.build(cfg.model)
    images = torch.randn(4, 3, 32, 32)
    samples = [DataSample().set_gt_label(i) for i in range(4)]
    loss = model(images, samples, mode='loss')['loss']
    loss.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert missing == []
    model.eval()
    predictions = model(images, mode='predict')
    assert predictions[0].pred_score.shape == (1000,)


@pytest.mark.parametrize('name', ['VideoMamba', 'VideoMambaPro'])
def test_an_image_is_a_clip_of_one_frame(name):
    from mmaction.registry import MODELS as VIDEO_MODELS
    from mmpretrain.registry import MODELS

    size = dict(arch=dict(embed_dims=16, depth=2), img_size=32)
    image_net = MODELS.build(dict(type=f'Image{name}', **size))
    video_net = VIDEO_MODELS.build(dict(type=f'mmaction.{name}', num_frames=1, **size))
    video_net.load_state_dict(image_net.state_dict())
    images = torch.randn(2, 3, 32, 32)
    (features,) = image_net(images)
    torch.testing.assert_close(features, video_net(images[:, :, None]))
