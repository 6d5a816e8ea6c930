"""Pre-training and probing by the demo's configs, made small."""

import csv
import os

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.multiprocessing import start_processes

from tests.conftest import ROOT
from tests.tools.test_train_and_test import free_port, weights

CONFIG = 'configs/demo/vjepa_videomambapro-nano_32x2x1-80e_demo-clips-plain.py'
PROBE = 'configs/demo/vjepa-probe_videomambapro-nano_8x2x1-30e_demo-clips-plain-rgb.py'
SMALL = {
    'model.backbone.arch': dict(embed_dims=24, depth=2),
    'train_dataloader.batch_size': 4,
    'train_cfg.max_epochs': 3,
    'default_hooks.logger.interval': 1,
    'default_hooks.checkpoint.max_keep_ckpts': 3,
}
PRETRAINING = {
    'model.predictor.embed_dims': 24,
    'model.predictor.depth': 1,
    'model.ema.momentum': 0.1,
}

pytestmark = pytest.mark.usefixtures('scope')


@pytest.fixture
def config(clips, tmp_path):
    """The pre-training, made small, with what else is to be changed."""
    places = {}
    for split in ('train', 'val'):
        dataset = f'{split}_dataloader.dataset'
        places[f'{dataset}.ann_file'] = str(clips / f'{split}_rawframes.txt')
        places[f'{dataset}.data_prefix.img'] = str(clips)

    def make(changes={}, path=CONFIG, validate=False):  # noqa: B006
        cfg = Config.fromfile(ROOT / path)
        small = PRETRAINING if path == CONFIG else {}
        cfg.merge_from_dict({**places, **SMALL, **small, **changes})
        if not validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        return cfg

    return make


def train(cfg, work_dir, resume=False, hook=None):
    cfg = cfg.copy()
    cfg.work_dir, cfg.resume = str(work_dir), resume
    cfg.experiment_name = work_dir.name  # two may start in one second
    runner = Runner.from_cfg(cfg)
    if hook:
        runner.register_hook(hook)
    runner.train()
    return runner


def table(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def same(work_dir, other, epoch, **tolerance):
    expected, got = weights(work_dir, epoch), weights(other, epoch)
    assert set(expected) == set(got)
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, **tolerance, msg=key)


def test_pretrain_watch_and_probe(config, tmp_path):
    work_dir = tmp_path / 'run'
    changes = {'train_cfg.val_interval': 1, 'train_cfg.val_begin': 2}
    train(config(changes, validate=True), work_dir)
    assert (work_dir / 'pretraining.png').stat().st_size > 10_000
    rows = table(work_dir / 'train.csv')
    assert [row['step'] for row in rows] == [str(step) for step in range(1, 13)]
    for name in ('loss_jepa', 'target_std', 'clip_std', 'pred_std', 'var_hinge', 'lr',
                 'grad_norm_backbone', 'grad_norm_predictor'):  # fmt: skip
        assert all(float(row[name]) >= 0 for row in rows), name
    rows = table(work_dir / 'val.csv')
    assert len(rows) == 2
    assert {'features/knn_top1', 'features/rankme', 'features/std'} < set(rows[0])

    # the probe reads the moving average out of the checkpoint, and leaves it as it is
    probe = tmp_path / 'probe'
    cfg = config(
        {
            'model.backbone.frozen_stages': 2,
            'model.backbone.init_cfg.checkpoint': f'{work_dir}/epoch_3.pth',
            'model.cls_head.in_channels': 24,
        },
        PROBE,
    )
    train(cfg, probe)
    pretrained, probed = weights(work_dir, 3), weights(probe, 3)
    backbone = [key for key in probed if key.startswith('backbone.')]
    assert len(backbone) > 20
    for key in backbone:
        source = key.replace('backbone.', 'target.module.', 1)
        assert torch.equal(probed[key], pretrained[source]), key


class Interruption(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 7:  # in the middle of an epoch, and between two updates
            raise KeyboardInterrupt


def test_interrupted_and_resumed_equals_uninterrupted(config, tmp_path):
    """Bit for bit: weights, target, masks, and the state of the guard."""
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    cfg = config(
        {
            'model.backbone.drop_path_rate': 0.3,
            'model.ema.interval': 2,
            'optim_wrapper.accumulative_counts': 2,
            'optim_wrapper.guard': dict(num_std=9),
            'default_hooks.checkpoint.by_epoch': False,
            'default_hooks.checkpoint.interval': 1,
            'default_hooks.checkpoint.filename_tmpl': 'epoch_{}.pth',
        }
    )
    cfg.custom_hooks = [x for x in cfg.custom_hooks if 'Curves' not in x.type]
    train(cfg, whole)
    with pytest.raises(KeyboardInterrupt):
        train(cfg, broken, hook=Interruption())
    assert (broken / 'last_checkpoint').read_text() == 'epoch_7.pth'
    torch.manual_seed(77)  # nothing of the first process is left
    train(cfg, broken, resume=True)
    same(whole, broken, 12, rtol=0, atol=0)
    assert int(weights(broken, 12)['target.steps']) == 12
    guards = [
        torch.load(folder / 'epoch_12.pth', weights_only=False)['optimizer']['guard']
        for folder in (whole, broken)
    ]
    assert guards[0] == guards[1]
    assert len(guards[0]['losses']) == 12


def train_one_of_two(rank, cfg, work_dir, port):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    train(cfg, work_dir)


def test_two_processes_equal_one(config, tmp_path):
    """Same masks, losses and weights with half the batch each."""
    cfg = config()
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.1, weight_decay=0.01)
    one, two = tmp_path / 'one', tmp_path / 'two'
    train(cfg, one)
    cfg.train_dataloader.batch_size, cfg.launcher = 2, 'pytorch'
    start_processes(
        train_one_of_two,
        (cfg, two, free_port()),
        nprocs=2,
        start_method='spawn' if torch.cuda.is_available() else 'fork',
    )
    same(one, two, 3, rtol=1e-4, atol=1e-5)
    guards = [
        torch.load(folder / 'epoch_3.pth', weights_only=False)['optimizer']['guard']
        for folder in (one, two)
    ]
    # the mean loss of both processes, step by step
    assert guards[1]['losses'] == pytest.approx(guards[0]['losses'], rel=1e-4)


def test_accumulation_is_a_larger_batch(config):
    """Gradients of k batches with the masks of each, against their mean."""
    from mmaction.registry import MODELS, OPTIM_WRAPPERS

    cfg = config()
    results = []
    for accumulate in (1, 3):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        model.init_weights()
        model.target.interval = accumulate
        optimizer = torch.optim.SGD(
            [p for p in model.parameters() if p.requires_grad], lr=1.0
        )
        wrapper = OPTIM_WRAPPERS.build(
            dict(
                type='GuardedOptimWrapper',
                optimizer=optimizer,
                accumulative_counts=accumulate,
            )
        )
        wrapper.initialize_count_status(model, 0, 300)
        generator = torch.Generator().manual_seed(3)
        clips = torch.randn(3, 2, 1, 3, 8, 48, 48, generator=generator)
        losses = [
            model.parse_losses(model(batch, mode='loss'))[0]
            for batch in clips
            if accumulate == 1
        ]
        if accumulate == 1:
            wrapper.update_params(sum(losses) / 3)
        else:
            for batch in clips:
                wrapper.update_params(model.parse_losses(model(batch, mode='loss'))[0])
        results.append(model)
    for a, b in zip(results[0].parameters(), results[1].parameters()):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_control_shares_the_code_path(config, tmp_path):
    """Only the encoder (MMAction2's ViT) and the predictor differ; in bf16."""
    cfg = config({'optim_wrapper.type': 'GuardedAmpOptimWrapper'})
    cfg.optim_wrapper.update(dtype='bfloat16', loss_scale=dict(enabled=False))
    cfg.model.backbone = dict(
        type='TokenVisionTransformer',
        img_size=48,
        patch_size=8,
        num_frames=8,
        embed_dims=24,
        depth=2,
        num_heads=2,
    )
    cfg.model.predictor = dict(
        type='JEPATransformerPredictor', embed_dims=24, depth=1, num_heads=2
    )
    train(cfg, tmp_path)
    losses = [float(row['loss_jepa']) for row in table(tmp_path / 'train.csv')]
    assert len(losses) == 12
    assert losses[-1] < losses[0]


def test_a_nan_loss_is_one_sentence(tool, config, tmp_path):
    config({'model.loss_exponent': float('nan')}).dump(tmp_path / 'config.py')
    text = (tmp_path / 'config.py').read_text()
    (tmp_path / 'config.py').write_text(text.replace('=nan', "=float('nan')"))
    process = tool('train.py', tmp_path / 'config.py', '--amp', '--work-dir',
                   tmp_path, check=False)  # fmt: skip
    assert process.returncode == 1
    assert 'Traceback' not in process.stderr
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith('train.py: error: the loss is nan at iteration 1, which')
    assert 'rawframes/train/' in last  # the samples
    assert not list(tmp_path.glob('*.pth'))
