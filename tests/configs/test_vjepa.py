"""Configs of pre-training and probes build, step, test, and fit together."""

import math
import re
from copy import deepcopy

import pytest
import torch
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper

from mmaction_videomambapro.datasets.feature_cache import FeatureCache
from tests.conftest import ROOT


def configs(folder):
    return sorted(
        str(p.relative_to(ROOT)) for p in (ROOT / 'configs' / folder).rglob('*.py')
    )


PRETRAINING = configs('pretraining/vjepa')
PROBES = configs('recognition/attentive_probe')
CLIPS = dict(sthv2=2, kinetics400=8, in1k=1)
CLASSES = dict(sthv2=174, kinetics400=400, in1k=1000)

pytestmark = pytest.mark.usefixtures('scope')


def steps(pipeline):
    for transform in pipeline:
        yield transform
        yield from transform.get('transforms', ())


def shrink(cfg, clips):
    """A network and clips of 4 frames of 32 pixels, that take milliseconds."""
    backbone = cfg.model.backbone
    backbone.init_cfg = None
    if backbone.type == 'TokenVisionTransformer':
        backbone.update(img_size=32, num_frames=4)
        backbone.update(embed_dims=24, depth=2, num_heads=2)
    elif backbone.type == 'VideoMambaPro':
        backbone.update(img_size=32, num_frames=4)
        backbone.arch = dict(embed_dims=24, depth=2)
        if 'frozen_stages' in backbone:
            backbone.frozen_stages = 2
    if 'predictor' in cfg.model:
        cfg.model.predictor.update(embed_dims=24, depth=1)
        if 'num_heads' in cfg.model.predictor:
            cfg.model.predictor.num_heads = 2
    if 'cls_head' in cfg.model:
        cfg.model.cls_head.update(in_channels=24, num_heads=2)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is None or 'pipeline' not in loader.dataset:
            continue
        for transform in steps(loader.dataset.pipeline):
            if 'clip_len' in transform:
                transform.clip_len, transform.frame_interval = 4, 1
            if 'scale' in transform:
                keep = transform.scale[0] == -1
                transform.scale = (-1, 32) if keep else (32, 32)
            if 'crop_size' in transform:
                transform.crop_size = 32
        dataset = loader.dataset
        if dataset.type == 'ImageListDataset':
            image = next(clips.rglob('*.jpg'))
            ann_file = clips.parent / 'images.txt'
            ann_file.write_text(f'{image} 0\n{image} 1\n')
            dataset.data_prefix = dict(img=str(clips))
        else:
            ann_file = clips / 'val_videos.txt'
            dataset.data_prefix = dict(video=str(clips))
        dataset.ann_file = str(ann_file)


def batch_of(cfg, split='train'):
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    return pseudo_collate([dataset[0], dataset[1]])


def links(path):
    """Length of the longest chain of configs that inherit."""
    base = re.search(r'^_base_ = (\[.*?\]|\'.*?\')', path.read_text(), re.M | re.S)
    paths = re.findall(r"'(.*?)'", base[1]) if base else []
    return max((1 + links(path.parent / p) for p in paths), default=0)


@pytest.mark.parametrize('path', PRETRAINING + PROBES)
def test_chain_of_bases_is_short(path):
    assert links(ROOT / path) <= 4


@pytest.mark.parametrize('path', PRETRAINING)
def test_pretraining_fits_together_and_takes_an_update(path, clips):
    cfg = Config.fromfile(ROOT / path)
    name = re.match(
        r'vjepa2?_(videomambapro|vit)-(tiny|small|middle)-p16_(\d)xb(\d+)'
        r'(?:-acc(\d))?-(\d+)x4x1-(\d+)e_(sthv2|kinetics400)',
        path.split('/')[-1],
    )
    backbone = cfg.model.backbone
    accumulate = int(name[5] or 1)
    assert cfg.optim_wrapper.get('accumulative_counts', 1) == accumulate
    assert cfg.model.ema.get('interval', 1) == accumulate
    assert cfg.train_dataloader.batch_size == int(name[4])
    batch = int(name[3]) * int(name[4]) * accumulate
    assert batch == cfg.auto_scale_lr.base_batch_size == 192
    # as long an epoch as the schedules and the moving average count on
    assert cfg.train_dataloader.sampler.num_samples == 300 * batch
    assert cfg.model.ema.get('stretch', 1.25) == 1.25
    assert 'total_updates' not in cfg.model.ema  # those of the training
    assert cfg.train_cfg.max_epochs == int(name[7])
    assert backbone.num_frames == int(name[6])
    for split in ('train', 'val'):
        assert name[8] in cfg[f'{split}_dataloader'].dataset.ann_file
        (sampler,) = [t for t in cfg[f'{split}_pipeline'] if t.type == 'SampleVJEPA']
        assert (sampler.clip_len, sampler.frame_interval) == (int(name[6]), 4)
    with torch.device('cpu' if name[1] == 'vit' else 'meta'):
        encoder = MODELS.build(backbone)
    assert encoder.embed_dims == dict(tiny=192, small=384, middle=576)[name[2]]
    assert encoder.patch_shape == (2, 16, 16)

    shrink(cfg, clips)
    cfg.optim_wrapper.optimizer.lr = 0.01
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    wrapper.initialize_count_status(model, 0, 2 * accumulate)
    before = deepcopy(model.backbone.state_dict())
    model.train()
    batch = batch_of(cfg)
    for _ in range(accumulate):
        losses = model.train_step(batch, wrapper)
        assert math.isfinite(losses['loss'])
    after = model.backbone.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before)
    model.eval()
    with torch.no_grad():
        (first, _) = model.val_step(batch_of(cfg, 'val'))
    assert first.feature.shape == (24,)


@pytest.mark.parametrize('path', [p for p in PROBES if 'features' not in p])
def test_probe_fits_together_steps_and_tests(path, clips):
    cfg = Config.fromfile(ROOT / path)
    dataset = re.search(r'_([a-z0-9]+)(-rgb)?\.py$', path)[1]
    head = cfg.model.cls_head
    assert (head.num_classes, head.num_clips) == (CLASSES[dataset], CLIPS[dataset])
    if dataset != 'in1k':
        assert cfg.test_dataloader.dataset.metainfo.classes == dataset
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert head.in_channels == model.backbone.embed_dims
    assert not any(p.requires_grad for p in model.backbone.parameters())
    source = cfg.model.backbone.init_cfg.checkpoint.split('/')[1]
    assert f'configs/pretraining/vjepa/{source}.py' in PRETRAINING
    pretrained = Config.fromfile(ROOT / f'configs/pretraining/vjepa/{source}.py')
    state = MODELS.build(pretrained.model.backbone).state_dict()
    assert {k: v.shape for k, v in model.backbone.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    crops = 3 if dataset != 'in1k' else 1
    for split in ('train', 'val', 'test'):
        (sampler, *_) = [t for t in cfg[f'{split}_pipeline'] if 'clip_len' in t]
        assert cfg[f'{split}_dataloader'].dataset.pipeline == cfg[f'{split}_pipeline']
        expected = 'SampleFrames' if dataset == 'in1k' else 'SampleVJEPA'
        assert sampler.type == expected
        if dataset != 'in1k':
            assert sampler.allow_overlap
            assert sampler.get('random', True) == (split == 'train')
        assert sampler.get('num_clips', 1) == CLIPS[dataset]
        assert sampler.clip_len == 16
        assert dataset == 'in1k' or sampler.frame_interval == 4

    shrink(cfg, clips)
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = deepcopy(model.state_dict())
    model.train()
    batch = batch_of(cfg)
    assert batch['inputs'][0].shape == (CLIPS[dataset], 3, 4, 32, 32)
    if dataset == 'in1k':
        (clip,) = batch['inputs'][0]
        assert (clip == clip[:, :1]).all()  # one image, four times
    losses = model.train_step(batch, wrapper)
    assert math.isfinite(losses['loss'])
    changed = {
        k for k, v in model.state_dict().items() if not torch.equal(v, before[k])
    }
    assert changed
    assert all(k.startswith('cls_head.probes.') for k in changed)
    probes = set(map(str, range(21 if dataset == 'in1k' else 20)))
    assert {k.split('.')[2] for k in changed} == probes
    batch = batch_of(cfg, 'test')
    assert len(batch['inputs'][0]) == CLIPS[dataset] * crops
    model.eval()
    with torch.no_grad():
        (first, _) = model.test_step(batch)
    assert first.pred_score.shape == (head.num_classes,)
    assert float(first.pred_score.sum()) == pytest.approx(1, abs=1e-3)


def test_grid_for_images_is_v_jepa_2s():
    """Its 21 probes: rate, first rate, warm-up; weight decay, last weight decay."""
    (path,) = (p for p in PROBES if 'in1k' in p)
    cfg = Config.fromfile(ROOT / path)
    with torch.device('meta'):
        head = MODELS.build(cfg.model.cls_head)
    rates, decays = cfg.param_scheduler
    got = {
        (lr, round(lr * start, 12), warmup, decay, decay * final)
        for (lr, decay), start, warmup, final in zip(
            head.grid, rates.starts, rates.warmups, decays.finals
        )
    }
    expected = {
        (lr, 0.0002, 5, decay, decay)
        for lr in (0.0005, 0.001, 0.0015, 0.002)
        for decay in (0.008, 0.004, 0.002, 0.001, 0.0005)
    }
    assert got == expected | {(0.001, 0.001, 0, 0.001, 0.0)}
    assert len(head.grid) == 21
    assert 'finals' not in rates  # to 0


def test_probes_on_features(tmp_path):
    """The head of the videos, on files with tokens of 2 clips x 3 crops."""
    (path,) = (p for p in PROBES if 'features' in p)
    cfg = Config.fromfile(ROOT / path)
    (videos,) = (p for p in PROBES if p.endswith('16x4x2-20e_sthv2-rgb.py'))
    assert cfg.model.cls_head == Config.fromfile(ROOT / videos).model.cls_head
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for split, views in dict(train=2, test=6).items():
        cache = FeatureCache.create(str(tmp_path / split), 2, {})
        for i in range(2):
            cache.save(i, torch.randn(views, 5, 192).half(), torch.tensor([i]))
        cfg[f'{split}_dataloader'].dataset.ann_file = str(tmp_path / split)
    model.train()
    assert math.isfinite(model.train_step(batch_of(cfg), wrapper)['loss'])
    model.eval()
    with torch.no_grad():
        results = model.test_step(batch_of(cfg, 'test'))
    assert [int(r.gt_label) for r in results] == [0, 1]
    assert all(r.pred_score.shape == (174,) for r in results)
