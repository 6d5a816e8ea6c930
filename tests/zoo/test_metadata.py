"""Settings in configs take effect."""

import pytest
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.zoo.metadata import facts, initial_checkpoint, views_of
from tests.conftest import DEMO_CONFIG, ROOT

SMALL = ROOT / (
    'configs/recognition/videomamba/videomamba-small-p16_16x4x1_kinetics400-rgb.py'
)
PROBE = ROOT / (
    'configs/recognition/attentive_probe/'
    'videomambapro-tiny-p16_vjepa-sthv2-pre_8xb32-16x4x2-20e_sthv2-rgb.py'
)


def segments(cfg):
    """As for 2-D recognizers, upright, with ten crops."""
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[1] = dict(type='UniformSample', clip_len=1, num_clips=5, test_mode=True)
    pipeline[3:6] = [
        dict(type='Resize', scale=(-1, 64)),
        dict(type='TenCrop', crop_size=(32, 48)),
        dict(type='FormatShape', input_format='NCHW'),
    ]


def uniform(cfg):
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[1] = dict(type='SampleSparse', clip_len=6, num_clips=2, mode='test')
    pipeline[4] = dict(type='CenterCrop', crop_size=40)


@pytest.mark.parametrize('change', [lambda cfg: None, segments, uniform])
def test_views_are_those_of_the_pipeline(change, clips):
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    change(cfg)
    dataset = cfg.test_dataloader.dataset
    dataset.ann_file = str(clips / 'val_videos.txt')
    dataset.data_prefix = dict(video=str(clips))
    init_default_scope('mmaction')
    inputs = DATASETS.build(dataset)[0]['inputs']
    views = views_of(cfg)
    if len(views.shape) == 5:
        made = (views.clips * views.crops, *views.shape[1:])
        assert views.frames == inputs.shape[2]
    else:
        made = (views.crops * views.frames, *views.shape[1:])
    assert tuple(inputs.shape) == made


def test_facts():
    cfg = Config.fromfile(SMALL)
    found = facts(SMALL, cfg)
    parameters, macs = found.pop('Parameters'), found.pop('FLOPs')
    assert parameters == 25_571_728
    assert macs > found.pop('Projection FLOPs') > 60e9
    assert found == {
        'Architecture': 'VideoMamba-S',
        'Pretrained': 'ImageNet-1K',
        'Training Data': 'Kinetics-400',
        'Epochs': 50,
        'Batch Size': 32,
        'Frame': 16,
        'Sampling method': '16x4x1',
        'Resolution': '224x224',
        'Testing protocol': '4 clips x 3 crops',
    }


@pytest.mark.parametrize(
    ('checkpoint', 'expected'),
    [
        ('https://x.org/videomamba_s16_in1k_res224.pth', 'ImageNet-1K'),
        ('a/b/videomamba_m16_k400_mask_pt_f8_res224.pth', 'Kinetics-400, masked'),
        ('videomamba_m16_ssv2_f16_res224.pth', 'SthV2'),
        ('work_dirs/in1k/mine.pth', 'mine'),
        ('work_dirs/vjepa_vit-small-p16_sthv2/epoch_300.pth', 'SthV2, V-JEPA'),
        ('work_dirs/mamba-tiny_in1k/best_acc_top1_epoch_9.pth', 'ImageNet-1K'),
    ],
)
def test_pretraining_is_read_from_the_checkpoints_name(checkpoint, expected):
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    assert initial_checkpoint(cfg) is None
    cfg.load_from = checkpoint
    assert facts(DEMO_CONFIG, cfg)['Pretrained'] == expected
    cfg.load_from = None
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    assert initial_checkpoint(cfg) in checkpoint


def test_probe_sees_clips_together():
    cfg = Config.fromfile(PROBE)
    found = facts(PROBE, cfg)
    assert found['Testing protocol'] == '2 clips x 3 crops'
    assert found['Pretrained'] == 'SthV2, V-JEPA'
    cfg.model.cls_head.num_clips = 1
    assert facts(PROBE, cfg)['FLOPs'] == pytest.approx(found['FLOPs'] / 2, rel=1e-3)


def test_names_of_data_sets():
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    for dataset, expected in (
        ('sthv2', 'SthV2'), ('lvu-director', 'LVU director'), ('mine', 'mine'),
        ('imagenet1k', 'ImageNet-1K'), ('breakfast', 'Breakfast'),
    ):  # fmt: skip
        path = f'videomambapro-nano_u16_{dataset}-rgb.py'
        assert facts(path, cfg)['Training Data'] == expected


def test_sampling():
    cfg = Config.fromfile(SMALL)
    for split in ('train', 'test'):
        sampler = cfg[f'{split}_dataloader'].dataset.pipeline[1]
        sampler.update(type='SampleSparse')
    assert facts(SMALL, cfg)['Sampling method'] == 'uniform 16'


def test_unknown_values_are_reported():
    cfg = Config.fromfile(SMALL)
    del cfg.test_dataloader.dataset.pipeline[4]
    with pytest.raises(UsageError, match='crop with crop_size'):
        views_of(cfg)
    cfg = Config.fromfile(SMALL)
    cfg.model.backbone.arch = 'gigantic'
    with pytest.raises(UsageError, match=r'cannot be built.*gigantic'):
        facts(SMALL, cfg)
