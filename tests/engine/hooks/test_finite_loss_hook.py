"""Supervised training stops at the first loss that is not finite."""

import pytest
import torch
from mmengine.config import Config

from mmaction_videomambapro.apis.cli import build_runner
from mmaction_videomambapro.apis.train import train
from mmaction_videomambapro.engine.hooks import FiniteLossHook
from mmaction_videomambapro.engine.optimizers.guarded import TrainingStopped
from tests.conftest import DEMO_CONFIG, ROOT


@pytest.fixture
def config(clips, tmp_path):
    """The demo, small, with nothing in custom_hooks."""
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    cfg.model.backbone.arch = dict(embed_dims=16, depth=1)
    cfg.model.cls_head.in_channels = 16
    cfg.custom_hooks = []
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)
    cfg.train_dataloader.update(num_workers=0, batch_size=8)
    cfg.train_dataloader.dataset.update(
        ann_file=str(clips / 'train_videos.txt'), data_prefix=dict(video=str(clips))
    )
    cfg.work_dir = str(tmp_path)
    return cfg


@pytest.mark.parametrize('wrapper', ['OptimWrapper', 'GuardedOptimWrapper'])
def test_files_of_the_batch_are_named_and_checkpoints_stay(config, tmp_path, wrapper):
    config.optim_wrapper.type = wrapper
    runner = build_runner(config)
    forward, calls = runner.model.loss, []

    def loss(*args, **kwargs):
        calls.append(None)
        losses = forward(*args, **kwargs)
        if len(calls) == 4:  # the last of the second epoch
            losses['loss_cls'] = losses['loss_cls'] * torch.nan
        return losses

    runner.model.loss = loss
    with pytest.raises(
        TrainingStopped, match='loss is nan at iteration 4, which '
    ) as e:
        train(runner)
    assert str(e.value).count('.mp4') == 8
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    if wrapper == 'GuardedOptimWrapper':
        assert all(p.isfinite().all() for p in runner.model.parameters())


def test_weights_that_are_not_finite_are_not_saved(config, tmp_path):
    runner = build_runner(config)

    def spoil(*_, **__):
        next(runner.model.parameters()).data.fill_(torch.inf)

    config.custom_hooks = []
    runner.register_hook(FiniteLossHook())
    runner.hooks[0].after_train_epoch = spoil
    with pytest.raises(TrainingStopped, match=r'\w+ is not finite .* no checkpoint'):
        train(runner)
    assert not list(tmp_path.glob('*.pth'))
    assert sum(isinstance(hook, FiniteLossHook) for hook in runner.hooks) == 1
