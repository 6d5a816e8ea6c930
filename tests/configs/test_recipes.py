"""Every config builds, steps, tests, has a row, and matches what was published."""

import math
import re
from functools import cache

import pytest
import torch
import yaml
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from mmaction_videomambapro.models import VideoMamba
from tests.conftest import DEMO_CONFIG, ROOT

CONFIGS = sorted(
    str(p.relative_to(ROOT))
    for p in (ROOT / 'configs').rglob('*.py')
    # test_vjepa.py has more
    if not {'_base_', 'mmpretrain', 'pretraining', 'attentive_probe'} & set(p.parts)
)
PRETRAINING = [path for path in CONFIGS if '/vjepa_' in path]
CLASSIFYING = [path for path in CONFIGS if path not in PRETRAINING]
METAFILES = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
RECIPES = [path for path in CLASSIFYING if '/demo/' not in path]
CLASSES = {
    **dict(kinetics400=400, sthv2=174, breakfast=10, coin=180),
    **{'lvu-relation': 4, 'lvu-speak': 5, 'lvu-scene': 6, 'lvu-director': 10},
    **{'lvu-genre': 4, 'lvu-writer': 10, 'lvu-year': 9},
    **dict(ucf101=101, hmdb51=51, in1k=1000),
}
NAMED = 'kinetics400', 'sthv2', 'ucf101', 'hmdb51'
# peak learning rate, warm-up / epochs, weight decay, drop path, clips: VideoMamba's
# scripts, after their scaling by batch, GPUs, accumulation and views
PUBLISHED = """
kinetics400 tiny   8 224  8.00e-4 5/70 0.1  0.1  4
kinetics400 tiny   16 224 8.00e-4 5/70 0.1  0.1  4
kinetics400 tiny   32 224 4.00e-4 5/70 0.1  0.1  4
kinetics400 tiny   64 224 4.00e-4 5/70 0.1  0.1  4
kinetics400 tiny   64 384 3.75e-6 2/10 1e-8 0.1  4
kinetics400 small  8 224  8.00e-4 5/50 0.05 0.35 4
kinetics400 small  16 224 8.00e-4 5/50 0.05 0.35 4
kinetics400 small  32 224 4.00e-4 5/50 0.05 0.35 4
kinetics400 small  64 224 2.00e-4 5/50 0.05 0.35 4
kinetics400 small  64 384 5.00e-6 1/6  1e-8 0.35 4
kinetics400 middle 8 224  8.00e-4 5/50 0.05 0.8  4
kinetics400 middle 16 224 2.00e-4 5/50 0.05 0.8  4
kinetics400 middle 32 224 1.00e-4 5/50 0.05 0.8  4
kinetics400 middle 64 224 5.00e-5 5/50 0.05 0.8  4
kinetics400 middle 64 384 1.25e-6 1/6  1e-8 0.8  4
kinetics400 mask   8 224  4.00e-4 5/45 0.05 0.4  4
kinetics400 mask   16 224 2.00e-4 5/45 0.05 0.4  4
kinetics400 mask   32 224 1.00e-4 5/45 0.05 0.4  4
kinetics400 mask   64 224 5.00e-5 5/45 0.05 0.4  4
kinetics400 mask   64 384 1.25e-6 1/6  1e-8 0.4  4
sthv2       tiny   8 224  1.60e-3 5/35 0.1  0.1  2
sthv2       tiny   16 224 1.60e-3 5/35 0.1  0.1  2
sthv2       tiny   16 288 2.00e-5 2/10 1e-8 0.1  2
sthv2       small  8 224  1.60e-3 5/30 0.05 0.35 2
sthv2       small  16 224 1.60e-3 5/30 0.05 0.35 2
sthv2       small  16 288 7.50e-6 2/10 1e-8 0.35 2
sthv2       middle 8 224  1.60e-3 5/30 0.05 0.8  2
sthv2       middle 16 224 8.00e-4 5/30 0.05 0.8  2
sthv2       middle 16 288 3.75e-6 2/10 1e-8 0.8  2
sthv2       mask   8 224  4.00e-4 5/30 0.05 0.4  2
sthv2       mask   16 224 2.00e-4 5/30 0.05 0.4  2
sthv2       mask   16 288 3.75e-6 2/10 1e-8 0.4  2
breakfast   tiny   32 224 4.00e-4 5/70 0.1  0.1  4
breakfast   tiny   64 224 4.00e-4 5/70 0.1  0.1  4
breakfast   small  32 224 4.00e-4 5/50 0.05 0.4  4
breakfast   small  64 224 2.00e-4 5/50 0.05 0.4  4
breakfast   middle 32 224 1.00e-4 5/50 0.05 0.8  4
breakfast   middle 64 224 5.00e-5 5/50 0.05 0.8  4
breakfast   mask   32 224 1.00e-4 5/45 0.05 0.4  4
breakfast   mask   64 224 5.00e-5 5/45 0.05 0.4  4
coin        tiny   32 224 4.00e-4 5/40 0.1  0.1  10
coin        tiny   64 224 4.00e-4 5/40 0.1  0.1  10
coin        small  32 224 4.00e-4 5/35 0.05 0.4  10
coin        small  64 224 2.00e-4 5/35 0.05 0.4  10
coin        middle 32 224 1.00e-4 5/30 0.05 0.8  10
coin        middle 64 224 5.00e-5 5/30 0.05 0.8  10
coin        mask   32 224 1.00e-4 5/30 0.05 0.4  10
coin        mask   64 224 5.00e-5 5/30 0.05 0.4  10
lvu-director tiny   32 224 2.00e-4 5/70 0.1  0.15 4
lvu-relation tiny   32 224 2.00e-4 5/70 0.1  0.15 4
lvu-speak tiny   32 224 2.00e-4 5/70 0.1  0.15 4
lvu-scene tiny   32 224 2.00e-4 5/70 0.1  0.15 4
lvu-genre tiny   32 224 2.00e-4 5/70 0.1  0.15 4
lvu-writer tiny   32 224 2.00e-4 5/70 0.1  0.15 4
lvu-year tiny   32 224 2.00e-4 5/70 0.1  0.15 4
in1k        tiny   1 224  4.00e-3 5/300  0.1  0    1
in1k        small  1 224  4.00e-3 5/300  0.05 0.15 1
in1k        middle 1 224  2.00e-3 20/300 0.05 0.5  1
in1k        base   1 224  2.00e-3 20/300 0.05 0.5  1
in1k        tiny   1 448  2.00e-5 5/30   1e-8 0    1
in1k        small  1 448  5.00e-6 5/30   1e-8 0.15 1
in1k        middle 1 448  5.00e-6 5/30   1e-8 0.5  1
in1k        tiny   1 576  1.00e-5 2/10   1e-8 0    1
in1k        small  1 576  5.00e-6 2/10   1e-8 0.15 1
in1k        middle 1 576  5.00e-6 2/10   1e-8 0.5  1
"""

pytestmark = pytest.mark.usefixtures('scope')


@cache
def read(path):
    return Config.fromfile(ROOT / path)


def steps(pipeline):
    """All transforms of a pipeline, including those of views."""
    for transform in pipeline:
        yield transform
        yield from transform.get('transforms', ())


def find(pipeline, *types):
    return [t for t in steps(pipeline) if t.type in types]


def dataset_of(path):
    return re.search(r'_([a-z0-9-]+?)(-rgb)?\.py$', path)[1]


@pytest.mark.parametrize('path', CLASSIFYING)
def test_config_fits_together(path):
    cfg = read(path)
    # what MMAction2's demos and tools look for by name
    for name in (
        'model', 'train_pipeline', 'val_pipeline', 'test_pipeline', 'auto_scale_lr',
        'train_dataloader', 'val_dataloader', 'test_dataloader', 'test_evaluator',
        'optim_wrapper', 'param_scheduler', 'train_cfg', 'val_cfg', 'test_cfg',
        'default_hooks', 'visualizer',
    ):  # fmt: skip
        assert name in cfg, name
    backbone = cfg.model.backbone
    arch = backbone.get('arch', backbone)
    arch = VideoMamba.arch_zoo.get(arch) if isinstance(arch, str) else arch
    assert cfg.model.cls_head.in_channels == arch['embed_dims']
    warm_up, cosine = cfg.param_scheduler
    assert warm_up.end == cosine.begin < cfg.train_cfg.max_epochs
    assert 'end' not in cosine or cosine.end == cfg.train_cfg.max_epochs

    frames, size = backbone.num_frames, backbone.get('img_size', 224)
    for split in ('train', 'val', 'test'):
        pipeline = cfg[f'{split}_pipeline']
        assert cfg[f'{split}_dataloader'].dataset.pipeline == pipeline
        samplers = [t for t in steps(pipeline) if 'clip_len' in t]
        assert [t.clip_len for t in samplers] == [frames]
        last = find(pipeline, 'Resize', 'RandomCrop', 'CenterCrop', 'ThreeCrop')[-1]
        given = last.get('scale') or last.get('crop_size') or last.get('size')
        assert given in (size, (size, size), [size, size])

    blending = cfg.model.data_preprocessor.get('blending')
    if blending:
        classes = {a.num_classes for a in blending.blending.augments}
        assert classes == {cfg.model.cls_head.num_classes}


@pytest.mark.parametrize('path', RECIPES)
def test_name_says_what_is_inside(path):
    cfg = read(path)
    name = path.split('/')[-1]
    dataset = dataset_of(path)
    assert cfg.model.cls_head.num_classes == CLASSES[dataset]
    for split in ('train', 'val', 'test'):  # the names of all others are not known
        names = cfg[f'{split}_dataloader'].dataset.get('metainfo', {}).get('classes')
        assert names == (dataset if dataset in NAMED else None)
    backbone = cfg.model.backbone
    assert ('videomambapro' in name) == (backbone.type == 'VideoMambaPro')
    assert f'-{backbone.arch}-' in name if 'mamba' in name else 'vit-' in name
    size = backbone.get('img_size', 224)
    assert (f'-res{size}_' in name) == (size != 224)
    if re.search(r'-u\d+-', name):
        assert f'-u{backbone.num_frames}-' in name
    if '16x4x1' in name:
        (sampler,) = find(cfg.test_pipeline, 'SampleDense')
        assert (sampler.clip_len, sampler.frame_interval) == (16, 4)
    match = re.search(r'_(\d+)xb(\d+)-', name)
    if match:
        assert f'-{cfg.train_cfg.max_epochs}e_' in name
        batch = cfg.train_dataloader.batch_size
        views = find(cfg.train_pipeline, 'RepeatViews')
        if dataset == 'in1k':  # counted in views there
            batch = batch * (views[0].num_views if views else 1)
        assert abs(batch - int(match[2])) <= 2
    if dataset == 'sthv2':  # left and right mean something
        assert not find(cfg.train_pipeline, 'Flip')


@pytest.mark.parametrize('row', PUBLISHED.strip().splitlines())
def test_published_settings(row):
    """Compare with VideoMamba's scripts, which win over the paper where they differ."""
    dataset, size, frames, res, rate, epochs, decay, drop_path, clips = row.split()
    kind = 'image_classification' if dataset == 'in1k' else 'recognition'
    arch = 'middle' if size == 'mask' else size
    found = []
    for path in RECIPES:
        if f'{kind}/videomamba/' in path and dataset_of(path) == dataset:
            cfg = read(path)
            backbone = cfg.model.backbone
            sparse = find(cfg.test_pipeline, 'SampleSparse', 'SampleSSv2')
            if (
                (backbone.arch, backbone.num_frames) == (arch, int(frames))
                and backbone.get('img_size', 224) == int(res)
                and ('-mask-' in path) == (size == 'mask')
                and (sparse or dataset == 'in1k')
            ):
                found.append((path, cfg))
    ((path, cfg),) = found
    gpus = int(re.search(r'_(\d+)xb', path)[1])
    batch = cfg.train_dataloader.batch_size * gpus
    base = cfg.auto_scale_lr.base_batch_size
    assert cfg.auto_scale_lr.enable
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.lr * batch / base == pytest.approx(float(rate), rel=0.04)
    warm_up, cosine = cfg.param_scheduler
    assert f'{warm_up.end}/{cfg.train_cfg.max_epochs}' == epochs
    assert optimizer.weight_decay == float(decay)
    assert cfg.model.backbone.drop_path_rate == float(drop_path)
    if dataset != 'in1k':
        (sampler,) = find(cfg.test_pipeline, 'SampleSparse', 'SampleSSv2')
        assert sampler.num_clips == int(clips)
        assert find(cfg.test_pipeline, 'ThreeCrop')
        lowest = (
            cosine.eta_min_ratio * optimizer.lr,
            warm_up.start_factor * optimizer.lr,
        )
        assert lowest == pytest.approx((1e-6, 1e-6))
        weaker = 'rand-m5-n2-mstd0.25-inc1' if size == 'tiny' else None
        (augment,) = find(cfg.train_pipeline, 'ClipRandAugment')
        assert augment.policy == (weaker or 'rand-m7-n4-mstd0.5-inc1')
    else:  # as timm: after the crop, filled with the mean colour
        *_, crop, resize, flip, augment, _, _ = steps(cfg.train_pipeline)
        assert crop.type == 'RandomResizedCrop'
        assert (resize.type, resize.scale) == ('Resize', (int(res), int(res)))
        assert flip.type == 'Flip'
        policy = 'v0' if size == 'tiny' else 'rand-m9-n2-mstd0.5-inc1'
        assert augment.policy == policy
        assert augment.type == f'Clip{"Auto" if policy == "v0" else "Rand"}Augment'
        assert augment.fill == (124, 116, 104)
        distilled = size in ('middle', 'base') and res == '224'
        assert (cfg.model.type == 'DistilledRecognizer3D') == distilled


def shrink(cfg, clips, tmp_path):
    """The config with a network and clips of a size that takes milliseconds."""
    backbone, frames = cfg.model.backbone, min(cfg.model.backbone.num_frames, 2)
    backbone.update(num_frames=frames, img_size=32, init_cfg=None)
    if backbone.type == 'VisionTransformer':
        backbone.update(embed_dims=16, depth=2, num_heads=2)
    else:
        backbone.arch = dict(embed_dims=16, depth=2)
        backbone.frozen_stages = min(backbone.get('frozen_stages', -1), 2)
    cfg.model.cls_head.in_channels = 16
    if 'teacher' in cfg.model:
        init_cfg = dict(type='TruncNormal', layer='Linear', std=0.02)
        cfg.model.teacher.update(img_size=32)
        cfg.model.teacher.init_cfg = init_cfg
        cfg.model.teacher.arch = dict(embed_dims=8, depth=1)
    # what configs/README.md says can be overridden
    options = {'optim_wrapper.optimizer.lr': 0.01, 'load_from': None}
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.persistent_workers = False
        options[f'{split}_dataloader.batch_size'] = 2
        options[f'{split}_dataloader.num_workers'] = 0
        loader.sampler.pop('num_samples', None)
        loader.dataset.serialize_data = False  # which collects garbage
        for transform in steps(loader.dataset.pipeline):
            if 'clip_len' in transform:
                transform.clip_len = frames
            if 'scale' in transform:
                keep = transform.scale[0] == -1
                transform.scale = (-1, 32) if keep else (32, 32)
            for key in ('crop_size', 'size'):
                if key in transform:
                    transform[key] = 32
        if loader.dataset.type == 'ImageListDataset':
            images = sorted(clips.rglob('*.jpg'))[:4]
            ann_file, prefix = str(tmp_path / 'images.txt'), 'img'
            lines = [f'{image} {i}\n' for i, image in enumerate(images)]  # absolute
            (tmp_path / 'images.txt').write_text(''.join(lines))
        elif loader.dataset.type == 'RawFrameClsDataset':
            ann_file, prefix = str(clips / 'val_rawframes.txt'), 'img'
        else:
            ann_file, prefix = str(tmp_path / 'videos.txt'), 'video'
            rows = map(str.split, (clips / 'val_videos.txt').read_text().splitlines())
            classes = cfg.model.cls_head.num_classes
            lines = [f'{path} {int(label) % classes}\n' for path, label in rows]
            (tmp_path / 'videos.txt').write_text(''.join(lines))
        dataset = f'{split}_dataloader.dataset'
        options[f'{dataset}.ann_file'] = ann_file
        options[f'{dataset}.data_prefix.{prefix}'] = str(clips)
    cfg.merge_from_dict(options)


@pytest.mark.parametrize('path', CLASSIFYING)
def test_config_takes_a_step_and_a_test(path, clips, tmp_path):
    cfg = Config.fromfile(ROOT / path)
    shrink(cfg, clips, tmp_path)
    model = MODELS.build(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    rates = {group['lr'] for group in wrapper.optimizer.param_groups}
    assert max(rates) == pytest.approx(0.01)
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    views = [t.num_views for t in find(cfg.train_pipeline, 'RepeatViews')]
    assert len(batch['inputs']) == 2 * (views or [1])[0]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.train()
    losses = model.train_step(batch, wrapper)
    assert math.isfinite(losses['loss'])
    if cfg.optim_wrapper.get('accumulative_counts', 1) == 1:
        after = model.state_dict()
        assert any(not torch.equal(before[k], after[k]) for k in before)

    batch = next(iter(Runner.build_dataloader(cfg.test_dataloader, seed=0)))
    samplers = [t for t in steps(cfg.test_pipeline) if 'clip_len' in t]
    crops = 3 if find(cfg.test_pipeline, 'ThreeCrop') else 1
    assert len(batch['inputs'][0]) == samplers[0].get('num_clips', 1) * crops
    model.eval()
    with torch.no_grad():
        (first, *_) = model.test_step(batch)
    assert first.pred_score.shape == (cfg.model.cls_head.num_classes,)
    assert float(first.pred_score.sum()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize('path', PRETRAINING)
def test_pretraining_config_is_complete_and_builds(path, clips):
    cfg = Config.fromfile(ROOT / path)
    model = MODELS.build(cfg.model)
    assert model.target.interval == cfg.optim_wrapper.get('accumulative_counts', 1)
    dataset = dict(cfg.train_dataloader.dataset)
    dataset.update(
        ann_file=str(clips / 'val_rawframes.txt'), data_prefix=dict(img=str(clips))
    )
    clip = DATASETS.build(dataset)[0]['inputs']
    keep = torch.zeros(1, 1, dtype=torch.long)
    assert model.backbone(clip.float(), keep).shape == (1, 1, model.backbone.embed_dims)
    assert not {'end', 'T_max'} & set(cfg.param_scheduler[-1])  # follows max_epochs
    assert cfg.model.ema.stretch == 1.25
    assert model.target.total_updates is None


@pytest.mark.base
def test_mmaction2_recognizes_a_video(clips):
    """MMAction2's own functions accept our config unchanged."""
    from mmaction.apis import inference_recognizer, init_recognizer

    config = Config.fromfile(ROOT / DEMO_CONFIG)
    model = init_recognizer(config, device='cpu')
    result = inference_recognizer(model, str(clips / 'videos/val/00000.mp4'))
    assert float(result.pred_score.sum()) == pytest.approx(1, abs=1e-4)


def test_elements_of_lists_have_names():
    """No ``pipeline[3]``, which means something else after an insertion."""
    for path in (ROOT / 'configs').rglob('*.py'):
        assert not re.search(r'\w\[-?\d+\]', path.read_text()), path


def test_every_recipe_has_a_row():
    """Whether the rows are true is tested with the zoo."""
    listed = [
        entry['Config']
        for metafile in METAFILES
        for entry in yaml.safe_load((ROOT / metafile).read_text())['Models']
    ]
    probes = (ROOT / 'configs/recognition/attentive_probe').glob('*.py')
    probes = [str(path.relative_to(ROOT)) for path in probes]
    assert sorted(listed) == sorted([*RECIPES, *probes])


def test_example_for_own_configs_does_what_it_says(tmp_path):
    text = (ROOT / 'configs/README.md').read_text()
    (example,) = re.findall(r'```python\n(.*?)```', text, flags=re.DOTALL)
    config = tmp_path / 'mine.py'
    config.write_text(example.replace('../../_base_', f'{ROOT}/configs/_base_'))
    cfg = Config.fromfile(config)
    augments = cfg.model.data_preprocessor.blending.blending.augments
    assert {174} == {part.num_classes for part in [cfg.model.cls_head, *augments]}
    (augment,) = find(cfg.train_dataloader.dataset.pipeline, 'ClipRandAugment')
    assert augment.policy == 'rand-m5-n2-mstd0.25-inc1'
    assert [s.get('end', s.begin) for s in cfg.param_scheduler] == [2, 2]
    assert not [key for key in cfg if key.startswith('__')]


@pytest.mark.base
@pytest.mark.parametrize('name', ['videomamba', 'videomambapro'])
def test_packaged_configs_resolve(name, tmp_path):
    """``package::path`` finds the configs that the installation put into .mim."""
    leaf = f'recognition/{name}/{name}-small-p16_16x4x1_kinetics400-rgb.py'
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = 'mmaction_videomambapro::{leaf}'\n"
        'model = dict(cls_head=dict(num_classes=7))\n'
    )
    cfg = Config.fromfile(config)
    assert cfg.model.backbone.arch == 'small'
    assert cfg.model.cls_head.num_classes == 7
