"""Every key of V-JEPA's experiment files sets a value or is reported as ignored."""

import copy

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmaction_videomambapro.apis.vjepa_yaml import (
    convert_experiment,
    translate,
    write_config,
)
from mmaction_videomambapro.apis.vjepa_yaml.keys import read_experiment
from mmaction_videomambapro.apis.vjepa_yaml.recipes import assignments, difference
from mmaction_videomambapro.errors import UsageError
from tests.conftest import ROOT

BASE = str(ROOT / 'configs/_base_/default_runtime.py')

PRETRAINING = """
app: vjepa
nodes: 2
tasks_per_node: 4
data:
  dataset_type: VideoDataset
  datasets: [/lists/one.csv, /lists/two.csv]
  datasets_weights: [0.7, 0.3]
  mask_type: multiblock3d
  decode_one_clip: true
  batch_size: 6
  num_clips: 2
  num_frames: 12
  tubelet_size: 3
  sampling_rate: 5
  crop_size: 112
  patch_size: 14
  pin_mem: true
  num_workers: 7
  filter_short_videos: false
  clip_duration: 2.5
  log_resource_utilization: true
data_aug:
  auto_augment: true
  motion_shift: false
  random_resize_aspect_ratio: [0.75, 1.35]
  random_resize_scale: [0.3, 1]
  reprob: 0.2
logging:
  folder: /runs/one
  write_tag: jepa
loss:
  loss_exp: 2.0
  reg_coeff: 0.1
mask:
  - aspect_ratio: [0.75, 1.5]
    num_blocks: 8
    spatial_scale: [0.15, 0.2]
    temporal_scale: [0.9, 1.0]
    max_temporal_keep: 0.8
    max_keep: null
  - aspect_ratio: [0.8, 1.25]
    num_blocks: 2
    spatial_scale: [0.7, 0.7]
    temporal_scale: [1.0, 1.0]
    max_temporal_keep: 1.0
    max_keep: 90
meta:
  load_checkpoint: true
  read_checkpoint: epoch_3.pth
  seed: 234
  eval_freq: 5
  save_every_freq: 10
  skip_batches: -1
  use_sdpa: true
  dtype: bfloat16
model:
  model_name: videomamba_tiny
  pred_depth: 5
  pred_embed_dim: 144
  pred_head_dim: 72
  uniform_power: true
  use_mask_tokens: true
  zero_init_mask_tokens: true
optimization:
  ipe: 200
  ipe_scale: 1.25
  clip_grad: 10.0
  weight_decay: 0.04
  final_weight_decay: 0.4
  epochs: 50
  accumulation_steps: 3
  warmup: 4
  start_lr: 2.0e-04
  lr: 6.25e-04
  final_lr: 1.0e-06
  ema: [0.998, 1.0]
  betas: [0.9, 0.98]
  eps: 1.0e-06
"""

VIDEO_PROBE = """
nodes: 8
tasks_per_node: 8
tag: ssv2-16x2x3
eval_name: video_classification_frozen
resume_checkpoint: true
data:
  dataset_train: /lists/train.csv
  dataset_val: /lists/val.csv
  dataset_type: VideoDataset
  num_classes: 174
  frames_per_clip: 16
  num_segments: 2
  num_views_per_segment: 3
  frame_step: 5
optimization:
  attend_across_segments: true
  num_epochs: 20
  resolution: 224
  batch_size: 4
  accumulation_steps: 2
  weight_decay: 0.01
  lr: 0.001
  start_lr: 0.0005
  final_lr: 0.0
  warmup: 2.
  use_bfloat16: true
pretrain:
  model_name: videomamba_small
  checkpoint_key: target_encoder
  clip_duration: 3.0
  frames_per_clip: 32
  tubelet_size: 2
  uniform_power: true
  use_silu: false
  tight_silu: false
  use_sdpa: true
  patch_size: 16
  folder: /runs/one
  checkpoint: epoch_300.pth
  write_tag: jepa
"""

IMAGE_DATA = """
root_path: /images
image_folder: imagenet/061417/
num_classes: 1000
resolution: 192
dataset_name: ImageNet
"""


PRETRAINING_2 = """
app: vjepa
nodes: 2
tasks_per_node: 4
cpus_per_task: 16
mem_per_gpu: 220G
folder: /runs/two
data:
  dataset_type: VideoDataset
  datasets: [/lists/one.csv, /lists/two.csv]
  datasets_weights: [0.7, 0.3]
  batch_size: 6
  crop_size: 128
  patch_size: 16
  dataset_fpcs: [12, 12]
  tubelet_size: 2
  fps: 5
  num_workers: 7
  persistent_workers: false
  pin_mem: true
data_aug:
  auto_augment: false
  motion_shift: false
  random_resize_aspect_ratio: [0.75, 1.35]
  random_resize_scale: [0.3, 1.0]
  reprob: 0.0
loss:
  loss_exp: 1.0
mask:
  - aspect_ratio: [0.75, 1.5]
    full_complement: false
    inv_block: false
    max_keep: null
    max_temporal_keep: 1.0
    num_blocks: 8
    pred_full_complement: false
    spatial_scale: [0.15, 0.15]
    temporal_scale: [1.0, 1.0]
  - aspect_ratio: [0.75, 1.5]
    full_complement: true
    num_blocks: 2
    spatial_scale: [0.7, 0.7]
    temporal_scale: [1.0, 1.0]
meta:
  dtype: bfloat16
  eval_freq: 100
  load_checkpoint: true
  read_checkpoint: null
  save_every_freq: 50
  seed: 239
  skip_batches: -1
  sync_gc: false
  use_sdpa: true
model:
  compile_model: false
  model_name: vit_large
  pred_depth: 6
  pred_embed_dim: 384
  pred_num_heads: 12
  uniform_power: true
  use_activation_checkpointing: true
  use_mask_tokens: true
  use_pred_silu: false
  use_rope: true
  use_silu: false
  wide_silu: false
  zero_init_mask_tokens: true
optimization:
  betas: [0.9, 0.98]
  ema: [0.99925, 0.99925]
  epochs: 60
  eps: 1.0e-08
  final_lr: 0.000525
  final_weight_decay: 0.04
  ipe: 300
  ipe_scale: 1.25
  lr: 0.000525
  start_lr: 0.0001
  warmup: 40
  weight_decay: 0.04
"""

COOL_DOWN = dict(
    anneal_ckpt='/runs/two/epoch_60.pth', is_anneal=True, resume_anneal=True,
    epochs=40, final_lr=1e-6, warmup=0,
)  # fmt: skip

VIDEO_PROBE_2 = """
cpus_per_task: 16
eval_name: video_classification_frozen
folder: /runs/probes
max_workers: 8
mem_per_gpu: 220G
nodes: 8
num_workers: 5
resume_checkpoint: true
tag: diving
tasks_per_node: 4
val_only: false
experiment:
  classifier:
    num_heads: 32
    num_probe_blocks: 4
  data:
    clip_duration: null
    dataset_type: VideoDataset
    dataset_train: /lists/train.csv
    dataset_val: /lists/val.csv
    frame_step: 2
    frames_per_clip: 32
    normalization: null
    num_classes: 48
    num_segments: 4
    num_views_per_segment: 3
    resolution: 256
  optimization:
    batch_size: 2
    multihead_kwargs:
      - {lr: 0.001, start_lr: 0.001, final_lr: 0.0, warmup: 0.0,
         weight_decay: 0.8, final_weight_decay: 0.8}
      - {lr: 0.0003, start_lr: 0.0003, final_lr: 0.0, warmup: 0.0,
         weight_decay: 0.1, final_weight_decay: 0.1}
    num_epochs: 100
    use_bfloat16: true
    use_pos_embed: false
model_kwargs:
  checkpoint: /weights/vitl.pth
  module_name: evals.video_classification_frozen.modelcustom.vit_encoder_multiclip_multilevel
  wrapper_kwargs:
    max_frames: 128
    out_layers: [17, 19, 21, 23]
    use_pos_embed: false
  pretrain_kwargs:
    encoder:
      checkpoint_key: target_encoder
      img_temporal_dim_size: null
      model_name: vit_large
      patch_size: 16
      tubelet_size: 2
      uniform_power: true
      use_rope: true
      use_sdpa: true
      use_silu: false
      wide_silu: true
"""  # noqa: E501


def image_probe_2():
    experiment = yaml.safe_load(VIDEO_PROBE_2)
    experiment['eval_name'] = 'image_classification_frozen'
    experiment['experiment']['data'] = {
        **yaml.safe_load(IMAGE_DATA),
        'normalization': [[0.5, 0.4, 0.3], [0.2, 0.2, 0.1]],
    }  # fmt: skip
    experiment['experiment']['optimization']['multihead_kwargs'] = [
        dict(lr=0.001, start_lr=0.001, final_lr=0.0, warmup=0, weight_decay=0.001,
             final_weight_decay=0.0),
        dict(lr=0.002, start_lr=0.0002, final_lr=0.0001, warmup=5, weight_decay=0.004,
             final_weight_decay=0.004),
    ]  # fmt: skip
    model = experiment['model_kwargs']
    model['module_name'] = 'evals.image_classification_frozen.modelcustom.vit_encoder'
    model['wrapper_kwargs'] = dict(img_as_video_nframes=18)
    return experiment


def pretraining_2(**changes):
    experiment = yaml.safe_load(PRETRAINING_2)
    for key, value in changes.items():
        section, name = key.split('__')
        experiment[section][name] = value
    return experiment


def cool_down():
    experiment = yaml.safe_load(PRETRAINING_2)
    experiment['optimization'].update(COOL_DOWN)
    return experiment


def val_only():
    return {**yaml.safe_load(VIDEO_PROBE_2), 'val_only': True}


def image_probe():
    experiment = yaml.safe_load(VIDEO_PROBE)
    experiment['eval_name'] = 'image_classification_frozen'
    experiment['data'] = yaml.safe_load(IMAGE_DATA)
    experiment['optimization'].pop('attend_across_segments')
    experiment['optimization'].pop('resolution')
    return experiment


def convert(experiment):
    """The config as MMEngine reads it back, but for scopes, and what was ignored."""
    text, ignored = convert_experiment(experiment, 'experiment.yaml', BASE)
    return Config(without_scopes(Config.fromstring(text, '.py').to_dict())), ignored


def without_scopes(node):
    if isinstance(node, dict):
        return {k: without_scopes(v) for k, v in node.items() if k != '_scope_'}
    if isinstance(node, (list, tuple)):
        return type(node)(map(without_scopes, node))
    return node


def pretraining(**changes):
    """Set dotted keys, with ``__`` for the dot; None removes a key."""
    experiment = yaml.safe_load(PRETRAINING)
    for key, value in changes.items():
        section, name = key.split('__')
        experiment[section][name] = value
    return experiment


def step(pipeline, name):
    (found,) = [transform for transform in pipeline if transform.type == name]
    return found


def has(pipeline, name):
    return any(transform.type == name for transform in pipeline)


def leaves(node, key=''):
    """All values below a node, with dotted keys."""
    if isinstance(node, dict):
        return {k: v for n in node for k, v in leaves(node[n], f'{key}.{n}').items()}
    if isinstance(node, list) and node and isinstance(node[0], dict):
        return leaves(dict(enumerate(node)), key)
    return {key[1:]: node}


def test_pretraining_model():
    cfg, _ = convert(pretraining())
    model = cfg.model
    assert model.type == 'VideoJEPA'
    assert (model.loss_exponent, model.var_coeff) == (2.0, 0.1)
    backbone = model.backbone
    assert backbone.type == 'VideoMamba'
    assert (backbone.arch, backbone.weight_init) == ('tiny', 'official')
    assert (backbone.img_size, backbone.patch_size) == (112, 14)
    assert (backbone.num_frames, backbone.tubelet_size) == (12, 3)
    assert (backbone.pos_embed, backbone.out_type) == ('sincos3d', 'raw')
    assert (backbone.with_cls_token, backbone.drop_path_rate) == (False, 0)
    predictor = model.predictor
    assert predictor.type == 'JEPAMambaPredictor'
    assert (predictor.embed_dims, predictor.depth) == (144, 5)
    assert predictor.mixer_cfg == dict(residual=False, masked=False)
    assert list(model.masks) == [
        dict(
            type='MultiBlock3DMask', aspect_ratio=(0.75, 1.5), num_blocks=8,
            spatial_scale=(0.15, 0.2), temporal_scale=(0.9, 1.0),
            max_temporal_keep=0.8, max_keep=None, equalise='truncate',
        ),
        dict(
            type='MultiBlock3DMask', aspect_ratio=(0.8, 1.25), num_blocks=2,
            spatial_scale=(0.7, 0.7), temporal_scale=(1.0, 1.0),
            max_temporal_keep=1.0, max_keep=90, equalise='truncate',
        ),
    ]  # fmt: skip
    blending = model.data_preprocessor.blending
    assert blending == dict(type='ClipRandomErasing', erase_prob=0.2)


def test_pretraining_data():
    cfg, _ = convert(pretraining())
    loader = cfg.train_dataloader
    assert (loader.batch_size, loader.num_workers, loader.drop_last) == (6, 7, True)
    assert loader.persistent_workers
    # 200 updates of 6 clips, 2 x 4 GPUs, 3 times accumulated
    assert loader.sampler == dict(
        type='SeededSampler', num_samples=200 * 6 * 8 * 3,
        weights=[0.7, 0.3], groups='dataset',
    )  # fmt: skip
    assert cfg.auto_scale_lr.base_batch_size == 6 * 8 * 3
    assert loader.dataset.type == 'ConcatDataset'
    parts = loader.dataset.datasets
    assert [d.ann_file for d in parts] == ['/lists/one.csv', '/lists/two.csv']
    for dataset in parts:
        assert (dataset.type, dataset.delimiter) == ('VideoClsDataset', ' ')
        pipeline = dataset.pipeline
        assert step(pipeline, 'SampleVJEPA') == dict(
            type='SampleVJEPA', clip_len=12, frame_interval=5, num_clips=2,
            clip_duration=2.5,
        )  # fmt: skip
        crop = step(pipeline, 'RandomResizedCrop')
        assert crop.area_range == (0.3, 1.0)
        assert all(isinstance(x, float) for x in crop.area_range)  # MMAction2 insists
        assert crop.aspect_ratio_range == (0.75, 1.35)
        assert step(pipeline, 'Resize').scale == (112, 112)
        assert step(pipeline, 'Flip').flip_ratio == 0.5
        assert has(pipeline, 'ClipRandAugment')


def test_pretraining_run():
    cfg, _ = convert(pretraining())
    assert cfg.work_dir == '/runs/one'
    assert (cfg.resume, cfg.load_from) == (True, '/runs/one/epoch_3.pth')
    assert cfg.randomness.seed == 234
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.max_keep_ckpts) == (10, -1)
    assert checkpoint.save_best is None
    assert checkpoint.type == 'CheckpointHook', 'from the base'


def test_pretraining_schedules():
    """An update is 3 iterations; 50 epochs of 200 updates, curves 1.25 as long."""
    cfg, _ = convert(pretraining())
    assert cfg.train_cfg.max_epochs == 50
    assert cfg.model.ema == dict(
        type='LinearEMA', momentum=0.002, end_momentum=0.0,
        stretch=1.25, interval=3,
    )  # fmt: skip
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.dtype) == ('GuardedAmpOptimWrapper', 'bfloat16')
    assert wrapper.accumulative_counts == 3
    assert wrapper.clip_grad.max_norm == 10
    assert wrapper.clip_begin == (4 + 1) * 200
    assert wrapper.optimizer == dict(
        type='AdamW', lr=6.25e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.04
    )
    warm, rate, decay = cfg.param_scheduler
    for scheduler in cfg.param_scheduler:
        assert scheduler.by_epoch
        assert scheduler.convert_to_iter_based
    assert (warm.type, warm.start_factor, warm.end) == ('LinearLR', 0.32, 4)
    assert rate.type == 'StretchedCosineLR'
    assert (rate.begin, rate.stretch) == (4, 1.25)
    assert rate.eta_min == 1e-6
    assert decay.param_name == 'weight_decay'
    assert decay.stretch == 1.25
    assert not {'end', 'T_max'} & {*rate, *decay}, 'they follow max_epochs'
    assert decay.eta_min_ratio == pytest.approx(10)


def test_a_published_experiment_is_a_short_config():
    """V-JEPA's 300 epochs of 300 updates, on another network and other videos."""
    experiment = pretraining(
        data__datasets=['/lists/one.csv'], data__datasets_weights=None,
        data__batch_size=24, data__num_clips=1, data__num_frames=16,
        data__sampling_rate=4, data__clip_duration=None, data__crop_size=224,
        data_aug__auto_augment=False, data_aug__reprob=0.0,
        optimization__epochs=300, optimization__ipe=300, optimization__warmup=40,
        optimization__accumulation_steps=1, data__tubelet_size=2, data__patch_size=16,
        meta__load_checkpoint=False, optimization__betas=[0.9, 0.999],
    )  # fmt: skip
    text, _ = convert_experiment(experiment)
    assert sum(not line.startswith('#') for line in text.splitlines()) < 60
    for inherited in ('param_scheduler', 'pipeline', 'paramwise_cfg', 'train_cfg'):
        assert inherited not in text
    cfg, _ = convert(experiment)
    base = Config.fromfile(ROOT / 'configs/_base_/schedules/vjepa.py')
    assert cfg.param_scheduler == base.param_scheduler
    data = Config.fromfile(ROOT / 'configs/_base_/datasets/vjepa.py')
    dataset = data.train_dataloader.dataset
    assert cfg.train_dataloader.dataset == {
        **dataset, 'ann_file': '/lists/one.csv', 'delimiter': ' ',
    }  # fmt: skip


@pytest.mark.parametrize(
    ('base', 'config', 'said'),
    [
        (dict(a=1), dict(a=1, b=2), dict(b=2)),
        (dict(x=dict(a=1, b=2)), dict(x=dict(a=1, b=3)), dict(x=dict(b=3))),
        (dict(x=dict(a=1)), dict(x=dict(b=1)), dict(x=dict(_delete_=True, b=1))),
        (dict(x=None), dict(x=dict(b=1)), dict(x=dict(_delete_=True, b=1))),
        (dict(x=dict(b=1)), dict(x=None), dict(x=None)),
        (dict(x=[dict(a=1, b=2)]), dict(x=[dict(a=1)]), dict(x=[dict(a=1)])),
    ],
)
def test_difference_is_what_a_child_has_to_say(base, config, said, tmp_path):
    assert difference(base, config) == said
    (tmp_path / 'base.py').write_text(assignments(base))
    (tmp_path / 'child.py').write_text(f"_base_ = 'base.py'\n{assignments(said)}")
    assert Config.fromfile(tmp_path / 'child.py').to_dict() == config


def test_bases_whose_keys_cannot_be_deleted_are_not_inherited():
    text, _ = convert_experiment(val_only())
    assert '_base_/models/attentive_probe.py' in text
    assert '_base_/schedules/attentive_probe.py' not in text


def test_pretraining_ignores_what_has_no_meaning():
    _, ignored = convert(pretraining())
    assert ignored == [
        'data.decode_one_clip',
        'data.log_resource_utilization',
        'data.pin_mem',
        'logging.write_tag',
        'meta.eval_freq',
        'meta.skip_batches',
        'meta.use_sdpa',
        'model.pred_head_dim',
    ]
    text, _ = convert_experiment(pretraining(), 'a/b.yaml')
    assert '# Ignored, has no meaning here: data.pin_mem\n' in text
    assert '# From b.yaml. ' in text


def test_pretrain_cool_down_and_probe(clips, tmp_path):
    """Three files of V-JEPA 2, small, one after the other, by MMEngine's runner."""
    lists = {}
    for split in ('train', 'val'):
        lists[split] = str(tmp_path / f'{split}.csv')
        rows = (clips / f'{split}_videos.txt').read_text().splitlines()
        rows = [
            f'{clips / row.rsplit(maxsplit=1)[0]} {i % 2}' for i, row in enumerate(rows)
        ]
        (tmp_path / f'{split}.csv').write_text('\n'.join(rows))

    def run(experiment, folder):
        experiment = {**experiment, 'folder': str(folder), 'nodes': 1}
        experiment['tasks_per_node'] = 1
        text, _ = convert_experiment(experiment)
        cfg = Config.fromstring(text, '.py')
        for loader in (cfg.train_dataloader, cfg.get('val_dataloader')):
            if loader:
                loader.update(num_workers=0, persistent_workers=False)
        cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
        with DefaultScope.overwrite_default_scope('mmaction'):
            runner = Runner.from_cfg(cfg)
            runner.train()
        return runner

    experiment = pretraining_2(
        data__datasets=[lists['train']], data__datasets_weights=None,
        data__dataset_fpcs=[4], data__crop_size=32, data__batch_size=4,
        model__model_name='vit_tiny', model__pred_depth=1, meta__dtype='float32',
        meta__load_checkpoint=False, meta__save_every_freq=-1,
        optimization__epochs=1, optimization__ipe=2,
    )  # fmt: skip
    run(experiment, tmp_path / 'first')
    experiment['optimization'].update(
        COOL_DOWN, epochs=1, anneal_ckpt=str(tmp_path / 'first/epoch_1.pth')
    )
    run(experiment, tmp_path / 'second')
    probe = yaml.safe_load(VIDEO_PROBE_2)
    probe['experiment']['data'].update(
        dataset_train=lists['train'], dataset_val=lists['val'], frames_per_clip=4,
        num_segments=2, num_classes=2, resolution=32,
    )  # fmt: skip
    probe['experiment']['optimization'].update(
        batch_size=6, num_epochs=1, use_bfloat16=False
    )
    probe['experiment']['classifier']['num_heads'] = 3
    probe['model_kwargs']['checkpoint'] = str(tmp_path / 'second/epoch_1.pth')
    probe['model_kwargs']['wrapper_kwargs']['out_layers'] = [5, 11]
    probe['model_kwargs']['pretrain_kwargs']['encoder']['model_name'] = 'vit_tiny'
    runner = run({**probe, 'resume_checkpoint': False}, tmp_path)
    head = runner.model.cls_head
    assert len(head.probes) == 2
    assert int(head.best) >= 0
    assert runner.iter == 3  # 16 videos, 6 a batch: none is left out


def test_optional_keys_have_v_jepas_defaults():
    experiment = pretraining()
    experiment['data']['datasets'] = ['/lists/one.csv']
    for key in (
        'data.datasets_weights', 'data.mask_type', 'data.clip_duration',
        'optimization.accumulation_steps', 'optimization.betas', 'optimization.eps',
        'optimization.clip_grad', 'meta.save_every_freq', 'meta.load_checkpoint',
        'data_aug.auto_augment', 'data_aug.reprob',
    ):  # fmt: skip
        section, name = key.split('.')
        del experiment[section][name]
    experiment['meta']['read_checkpoint'] = None
    cfg, _ = convert(experiment)
    assert cfg.train_dataloader.dataset.type == 'VideoClsDataset'
    assert 'weights' not in cfg.train_dataloader.sampler
    assert 'blending' not in cfg.model.data_preprocessor
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert not has(pipeline, 'ClipRandAugment')
    assert 'clip_duration' not in step(pipeline, 'SampleVJEPA')
    assert cfg.optim_wrapper.optimizer.betas == (0.9, 0.999)
    assert cfg.optim_wrapper.optimizer.eps == 1e-8
    assert cfg.optim_wrapper.clip_grad is None
    assert (cfg.resume, cfg.load_from) == (False, None)
    assert cfg.default_hooks.checkpoint.max_keep_ckpts == 1


def test_other_choices():
    experiment = pretraining(
        model__model_name='vit_huge', meta__dtype='float32', data__mask_type='tube',
        optimization__ema=[0.99925, 0.99925], optimization__warmup=0,
        optimization__final_weight_decay=0.04,
    )  # fmt: skip
    experiment['mask'] = [dict(ratio=0.8), {}]
    cfg, _ = convert(experiment)
    backbone = cfg.model.backbone
    assert backbone.type == 'TokenVisionTransformer'
    assert (backbone.embed_dims, backbone.depth, backbone.num_heads) == (1280, 32, 16)
    assert cfg.model.predictor.type == 'JEPATransformerPredictor'
    assert cfg.model.predictor.num_heads == 16
    assert [m.ratio for m in cfg.model.masks] == [0.8, 0.9]
    assert cfg.model.ema == dict(type='LinearEMA', momentum=0.00075, interval=3)
    assert cfg.optim_wrapper.type == 'GuardedOptimWrapper'
    (rate,) = cfg.param_scheduler
    assert (rate.begin, rate.stretch) == (0, 1.25)
    cfg, _ = convert(pretraining(meta__dtype='float16'))
    assert cfg.optim_wrapper.dtype == 'float16'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


def test_video_probe():
    cfg, ignored = convert(yaml.safe_load(VIDEO_PROBE))
    backbone, head = cfg.model.backbone, cfg.model.cls_head
    assert backbone.arch == 'small'
    assert backbone.frozen_stages == 24
    assert (backbone.img_size, backbone.num_frames) == (224, 32)
    assert (backbone.tubelet_size, backbone.patch_size) == (2, 16)
    assert backbone.init_cfg == dict(
        type='Pretrained', checkpoint='/runs/one/epoch_300.pth', prefix='target.module.'
    )
    assert head == dict(
        type='AttentiveHead', num_classes=174, in_channels=384, num_heads=6,
        num_clips=2, average_clips='prob',
    )  # fmt: skip
    train, val = cfg.train_dataloader, cfg.val_dataloader
    assert cfg.test_dataloader == val
    assert (train.batch_size, val.batch_size) == (4, 4)
    assert train.dataset.ann_file == '/lists/train.csv'
    assert val.dataset.ann_file == '/lists/val.csv'
    assert val.dataset.test_mode
    for loader, random in ((train, True), (val, False)):
        sample = step(loader.dataset.pipeline, 'SampleVJEPA')
        assert (sample.clip_len, sample.frame_interval) == (16, 5)
        assert (sample.num_clips, sample.clip_duration) == (2, 3.0)
        assert sample.allow_overlap
        assert sample.get('random', True) is random
    assert step(train.dataset.pipeline, 'Resize').scale == (224, 224)
    assert not has(train.dataset.pipeline, 'Flip')
    assert step(val.dataset.pipeline, 'ThreeCrop').crop_size == 224
    assert step(val.dataset.pipeline, 'Resize').scale == (-1, 224)
    assert cfg.work_dir == '/runs/one/video_classification_frozen/ssv2-16x2x3'
    assert cfg.resume is True
    assert cfg.auto_scale_lr.base_batch_size == 4 * 64 * 2
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.dtype) == ('AmpOptimWrapper', 'bfloat16')
    assert wrapper.accumulative_counts == 2
    assert wrapper.clip_grad.max_norm == 1
    assert (wrapper.optimizer.lr, wrapper.optimizer.weight_decay) == (0.001, 0.01)
    assert cfg.train_cfg.max_epochs == 20
    warm, rate, decay = cfg.param_scheduler
    assert (warm.start_factor, warm.end) == (0.5, 2)
    assert (rate.begin, rate.stretch, rate.eta_min) == (2, 1, 0)
    assert decay.eta_min_ratio == pytest.approx(1e-4)
    assert decay.stretch == 1
    assert ignored == [
        'pretrain.tight_silu', 'pretrain.use_sdpa', 'pretrain.use_silu',
        'pretrain.write_tag',
    ]  # fmt: skip


def test_other_video_probes():
    experiment = yaml.safe_load(VIDEO_PROBE)
    experiment['optimization'].update(attend_across_segments=False, use_bfloat16=False)
    experiment['data']['num_views_per_segment'] = 1
    experiment['pretrain'].update(model_name='vit_large', checkpoint_key='encoder')
    cfg, _ = convert(experiment)
    assert cfg.model.cls_head.num_clips == 1
    assert (cfg.model.cls_head.in_channels, cfg.model.cls_head.num_heads) == (1024, 16)
    assert cfg.model.backbone.frozen is True
    assert cfg.model.backbone.init_cfg.prefix == 'backbone.'
    clips = [
        step(loader.dataset.pipeline, 'SampleVJEPA').num_clips
        for loader in (cfg.train_dataloader, cfg.val_dataloader)
    ]
    assert clips == [1, 2]
    assert step(cfg.val_dataloader.dataset.pipeline, 'Resize').scale == (-1, 256)
    assert step(cfg.val_dataloader.dataset.pipeline, 'CenterCrop').crop_size == 224
    assert cfg.optim_wrapper.type == 'OptimWrapper'


def test_image_probe():
    cfg, ignored = convert(image_probe())
    for loader, split in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        dataset = loader.dataset
        assert dataset.type == 'ImageListDataset'
        assert dataset.ann_file == f'/images/imagenet/061417/{split}'
        assert step(dataset.pipeline, 'SampleFrames').clip_len == 32
    assert step(cfg.train_dataloader.dataset.pipeline, 'Resize').scale == (192, 192)
    augment = step(cfg.train_dataloader.dataset.pipeline, 'ClipAutoAugment')
    assert augment.policy == 'original'
    assert step(cfg.val_dataloader.dataset.pipeline, 'CenterCrop').crop_size == 192
    assert cfg.model.backbone.img_size == 192
    assert cfg.model.cls_head.num_classes == 1000
    assert cfg.model.cls_head.num_clips == 1
    assert {'data.dataset_name', 'pretrain.clip_duration'} <= set(ignored)


def test_pretraining_2():
    """Settings in which V-JEPA 2 differs from V-JEPA."""
    cfg, ignored = convert(pretraining_2())
    backbone, predictor = cfg.model.backbone, cfg.model.predictor
    assert (backbone.type, backbone.num_frames) == ('TokenVisionTransformer', 12)
    assert (backbone.embed_dims, backbone.img_size) == (1024, 128)
    assert (predictor.type, predictor.num_heads) == ('JEPATransformerPredictor', 12)
    assert backbone.with_cp
    assert predictor.with_cp
    equalise = [mask.equalise for mask in cfg.model.masks]
    assert equalise == ['truncate', 'full_complement']
    assert cfg.model.ema == dict(type='LinearEMA', momentum=0.00075, interval=1)
    loader = cfg.train_dataloader
    assert loader.sampler.num_samples == 300 * 6 * 8
    assert loader.persistent_workers is False
    for dataset in loader.dataset.datasets:
        sample = step(dataset.pipeline, 'SampleVJEPA')
        assert (sample.clip_len, sample.fps) == (12, 5)
        assert 'num_clips' not in sample
    assert cfg.optim_wrapper.clip_grad is None
    (warm, rate) = cfg.param_scheduler  # a constant rate and decay
    assert (warm.end, rate.begin, rate.eta_min) == (40, 40, 0.000525)
    assert cfg.work_dir == '/runs/two'
    assert (cfg.resume, cfg.load_from) == (True, None)
    rope = (
        'model.use_rope (positions are added to tokens, as fixed sines and cosines: '
        'checkpoints of V-JEPA 2 do not fit)'
    )
    assert ignored == [
        'cpus_per_task', 'data.pin_mem', 'mem_per_gpu', 'meta.eval_freq',
        'meta.skip_batches', 'meta.sync_gc', 'meta.use_sdpa', 'model.compile_model',
        rope, 'model.wide_silu',
    ]  # fmt: skip


def test_cool_down():
    """12,000 updates of a linear schedule that would end after 15,000."""
    cfg, _ = convert(cool_down())
    assert (cfg.resume, cfg.load_from) == (False, '/runs/two/epoch_60.pth')
    (line,) = cfg.param_scheduler
    assert (line.type, line.start_factor, line.end) == ('LinearLR', 1, 50)
    assert line.end_factor == pytest.approx(1e-6 / 5.25e-4)
    assert cfg.train_cfg.max_epochs == 40


def test_a_warm_up_may_be_longer_than_the_training():
    """V-JEPA 2's files for ViT-L and ViT-H: 10 epochs, 40 of warm-up."""
    cfg, ignored = convert(pretraining_2(optimization__epochs=10))
    (warm,) = cfg.param_scheduler
    assert warm.end == 40
    assert 'optimization.final_lr (10 epochs end before the warm-up does)' in ignored


def test_state_space_models_of_v_jepa_2():
    cfg, ignored = convert(pretraining_2(model__model_name='videomamba_small'))
    assert cfg.model.predictor.type == 'JEPAMambaPredictor'
    assert cfg.model.backbone.with_cp
    assert 'model.pred_num_heads (state-space layers have no heads)' in ignored


def test_video_probe_2():
    cfg, _ = convert(yaml.safe_load(VIDEO_PROBE_2))
    backbone = cfg.model.backbone
    assert backbone.out_layers == [17, 19, 21, 23]
    assert (backbone.num_frames, backbone.img_size, backbone.frozen) == (32, 256, True)
    assert backbone.init_cfg.checkpoint == '/weights/vitl.pth'
    assert cfg.model.cls_head == dict(
        type='AttentiveProbeGrid', num_classes=48, in_channels=1024, num_heads=32,
        num_clips=4, average_clips='prob', depth=4, pairs=[(0.001, 0.8), (0.0003, 0.1)],
    )  # fmt: skip
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert (loader.batch_size, loader.num_workers) == (2, 5)
        assert loader.dataset.num_classes == 48
        sample = step(loader.dataset.pipeline, 'SampleVJEPA')
        assert (sample.clip_len, sample.frame_interval) == (32, 2)
        assert sample.num_clips == 4
    assert 'drop_last' not in cfg.train_dataloader
    assert step(cfg.test_dataloader.dataset.pipeline, 'ThreeCrop').crop_size == 256
    wrapper = cfg.optim_wrapper
    assert wrapper.constructor == 'ProbeGridOptimWrapperConstructor'
    assert 'clip_grad' not in wrapper
    (rate,) = cfg.param_scheduler
    assert rate == dict(
        type='ProbeGridScheduler', param_name='lr', end=100, by_epoch=True,
        convert_to_iter_based=True, starts=[1, 1], warmups=[0, 0], finals=[0, 0],
    )  # fmt: skip
    assert cfg.val_evaluator.type == 'ProbeGridMetric'
    assert [m.type for m in cfg.test_evaluator] == ['AccMetric', 'ProbeGridMetric']
    assert cfg.default_hooks.probe_choice.type == 'ProbeChoiceHook'
    assert cfg.default_hooks.checkpoint.type == 'CheckpointHook', 'from the base'
    assert cfg.work_dir == '/runs/probes/video_classification_frozen/diving'
    assert cfg.resume is True


def test_image_probe_2():
    cfg, _ = convert(image_probe_2())
    assert cfg.model.backbone.num_frames == 18
    assert cfg.model.cls_head.num_clips == 1
    dataset = cfg.train_dataloader.dataset
    assert dataset.ann_file == '/images/imagenet/061417/train'
    assert step(dataset.pipeline, 'SampleFrames').clip_len == 18
    assert cfg.model.data_preprocessor.mean == [127.5, 102.0, 76.5]
    assert cfg.model.data_preprocessor.std == [51.0, 51.0, 25.5]
    rate, decay = cfg.param_scheduler
    assert (rate.starts, rate.warmups) == ([1, 0.1], [0, 5])
    assert rate.finals == [0, pytest.approx(0.05)]
    assert (decay.param_name, decay.finals) == ('weight_decay', [0, 1])


def test_val_only_is_a_config_for_tests():
    cfg, ignored = convert(val_only())
    assert 'train_dataloader' not in cfg
    assert 'optim_wrapper' not in cfg
    assert cfg.test_dataloader.dataset.ann_file == '/lists/val.csv'
    assert 'resume_checkpoint (val_only: nothing is trained)' in ignored


EXPERIMENTS = {
    'pretraining': pretraining,
    'video': lambda: yaml.safe_load(VIDEO_PROBE),
    'image': image_probe,
    'pretraining 2': pretraining_2,
    'cool-down': cool_down,
    'video 2': lambda: yaml.safe_load(VIDEO_PROBE_2),
    'image 2': image_probe_2,
    'val_only': val_only,
}


@pytest.mark.parametrize('kind', EXPERIMENTS)
def test_bases_and_differences_make_the_whole_config(kind):
    experiment = EXPERIMENTS[kind]()
    whole, *_ = translate(experiment)
    cfg = convert(experiment)[0].to_dict()
    runtime = Config.fromfile(BASE).to_dict()
    assert set(cfg) == {*whole, *runtime}
    hooks = {**runtime.pop('default_hooks'), **whole.pop('default_hooks', {})}
    hooks['checkpoint'] = {**cfg['default_hooks']['checkpoint'], **hooks['checkpoint']}
    assert cfg.pop('default_hooks') == hooks
    assert cfg == {**runtime, **whole}


@pytest.mark.parametrize('kind', EXPERIMENTS)
def test_every_key_has_an_effect(kind):
    """Each key changes the config, is ignored, or is refused with another value."""
    experiment = EXPERIMENTS[kind]()
    config, _, ignored = translate(experiment)
    ignored = {key.partition(' ')[0] for key in ignored}
    for key, value in leaves(experiment).items():
        parts = key.split('.')
        if ignored & {'.'.join(parts[:i]) for i in range(1, len(parts) + 1)}:
            continue
        if key in ('app', 'eval_name', 'data.mask_type'):
            continue
        if kind == 'val_only' and key in ('nodes', 'tasks_per_node'):
            continue  # in the first line's command only
        different = changed(copy.deepcopy(experiment), key, other(value))
        assert reaction(different, key) != config, key


def reaction(experiment, key):
    """The config, or the message of a refusal that names the key."""
    try:
        return translate(experiment)[0]
    except UsageError as error:
        message = str(error)
    assert key in message
    return message


def other(value):
    if isinstance(value, bool):
        return not value
    if value is None:
        return 17
    if isinstance(value, str):
        return f'{value}x'
    if isinstance(value, list):
        return [other(value[0]), *value[1:]]
    return (value / 2 or 0.1) if isinstance(value, float) else value + 1


def test_unknown_keys_are_all_reported():
    experiment = pretraining(data__fps=4, model__use_rope=True)
    experiment['wandb'] = dict(project='x')
    experiment['mask'][1]['full_complement'] = True
    with pytest.raises(UsageError) as error:
        convert_experiment(experiment, 'dir/some.yaml')
    assert str(error.value) == (
        'dir/some.yaml: unknown keys: data.fps, mask.1.full_complement, '
        'model.use_rope, wandb.project'
    )
    probe = yaml.safe_load(VIDEO_PROBE)
    probe['data']['root_path'] = '/images'
    with pytest.raises(UsageError, match=r'unknown keys: data\.root_path$'):
        convert_experiment(probe)


def test_what_has_no_counterpart_is_one_sentence():
    experiment = {**pretraining_2(), 'app': 'vjepa_droid'}
    del experiment['mask']
    with pytest.raises(
        UsageError, match="app is 'vjepa_droid', expected vjepa: others"
    ):
        convert_experiment(experiment)
    experiment = yaml.safe_load(VIDEO_PROBE_2)
    experiment['eval_name'] = 'action_anticipation_frozen'
    with pytest.raises(UsageError, match=r'eval_name is .*anticipation of actions'):
        convert_experiment(experiment)


@pytest.mark.parametrize(
    ('keys', 'value', 'message'),
    [
        ('data.dataset_fpcs', [16], '1 numbers for 2 datasets'),
        ('data.dataset_fpcs', [16, 64], 'clips of different lengths'),
        ('data.dataset_fpcs', [], 'expected a list of integers above 0'),
        ('model.use_silu', True, 'true is not supported'),
        ('model.pred_num_heads', 7, '384, which the 7 heads'),
        ('mask.0.inv_block', True, 'true is not supported'),
        ('mask.1.spatial_scale', [0.7, 1.7], r'mask\.1: spatial_scale is not a valid'),
        ('optimization.is_anneal', True, 'anneal_ckpt is missing'),
        ('data.num_frames', 16, 'unknown keys'),
    ],
)
def test_wrong_values_of_pretraining_2(keys, value, message):
    with pytest.raises(UsageError, match=message):
        convert_experiment(changed(pretraining_2(), keys, value))


@pytest.mark.parametrize(
    ('keys', 'value', 'message'),
    [
        ('experiment.optimization.multihead_kwargs', [], 'missing or empty'),
        ('experiment', None, 'missing or empty'),
        ('experiment.classifier.num_probe_blocks', 5, '5, expected one of 1, 2, 3, 4'),
        ('experiment.classifier.num_heads', 7, 'does not divide the 1024 channels'),
        ('experiment.data.normalization', [[1, 1], [1, 1]], 'expected a mean and a st'),
        ('model_kwargs.module_name', 'mine', "'mine', expected one of evals"),
        ('model_kwargs.wrapper_kwargs.out_layers', None, 'does not fit'),
        ('model_kwargs.wrapper_kwargs.out_layers', [24], '24 layers of vit_large'),
        ('model_kwargs.pretrain_kwargs.encoder.model_name', 'videomamba_tiny',
         'out_layers: .* is not supported'),
        ('model_kwargs.pretrain_kwargs.encoder.model_name', 'resnet',
         r"model_kwargs\.pretrain_kwargs\.encoder\.model_name is 'resnet'"),
        ('model_kwargs.pretrain_kwargs', None, 'expected a section of keys'),
        ('experiment.optimization.multihead_kwargs.0.lr', 0, 'start_lr is .* lr is 0'),
        ('experiment.optimization.multihead_kwargs.1.lr', '1e-3', 'expected a number'),
    ],
)  # fmt: skip
def test_wrong_values_of_probes_2(keys, value, message):
    with pytest.raises(UsageError, match=message):
        convert_experiment(changed(yaml.safe_load(VIDEO_PROBE_2), keys, value))


def changed(experiment, keys, value):
    """Set a dotted key to another value."""
    node = experiment
    *sections, name = keys.split('.')
    for section in sections:
        node = node[int(section) if isinstance(node, list) else section]
    node[name] = value
    return experiment


def test_missing_keys_are_all_reported():
    experiment = pretraining()
    del experiment['optimization']['ipe'], experiment['logging']
    with pytest.raises(UsageError, match=r'missing keys: logging.folder, optim.*\.ipe'):
        convert_experiment(experiment)
    del experiment['mask']
    with pytest.raises(UsageError, match='mask is missing'):
        convert_experiment(experiment)
    with pytest.raises(UsageError, match='data is None, expected a section'):
        convert_experiment({**pretraining(), 'data': None})


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('model__model_name', 'resnet', "'resnet', expected one of vit_tiny"),
        ('optimization__lr', '1e-3', r"'1e-3', expected a number \(YAML.*1\.0e-3"),
        ('optimization__ipe', None, 'None, expected an integer'),
        ('optimization__ema', [0.998], 'expected two numbers'),
        ('optimization__start_lr', 0.0, 'above 0'),
        ('optimization__weight_decay', 0.0, 'cannot become'),
        ('optimization__lr', float('inf'), 'inf, expected a number'),
        ('optimization__final_lr', float('nan'), 'nan, expected a number'),
        ('optimization__ipe', 10**400, 'expected an integer above 0'),
        ('optimization__ema', [1.0, 1.0], 'the first below 1'),
        ('data__num_clips', True, 'True, expected an integer'),
        ('data__batch_size', 0, '0, expected an integer above 0'),
        ('optimization__warmup', -1, '-1, expected a number from 0 on'),
        ('data__datasets', ['/a.npy', '/b.csv'], r'/a\.npy is not a text'),
        ('data__datasets_weights', [1.0], '1 numbers for 2 datasets'),
        ('data__filter_short_videos', True, 'true is not supported.*--min-frames'),
        ('data_aug__motion_shift', True, 'true is not supported'),
        ('model__uniform_power', False, 'false is not supported'),
        ('model__use_mask_tokens', False, 'false is not supported'),
        ('meta__dtype', 'int8', 'expected one of bfloat16'),
    ],
)
def test_wrong_values_are_one_sentence(key, value, message):
    with pytest.raises(UsageError, match=message) as error:
        convert_experiment(pretraining(**{key: value}), 'some.yaml')
    assert str(error.value).startswith(f'some.yaml: {key.replace("__", ".")}')


def test_tool_writes_a_config_that_inherits(tool, tmp_path):
    source, config = tmp_path / 'source.yaml', tmp_path / 'new' / 'config.py'
    source.write_text(PRETRAINING)
    base = 'configs/_base_/default_runtime.py'
    process = tool('convert_vjepa_yaml.py', source, config, '--base', base)
    assert 'ignored data.decode_one_clip, ' in process.stdout
    cfg = Config.fromfile(config)
    assert cfg.default_scope == 'mmaction'
    assert cfg.model.loss_exponent == 2

    before = config.read_bytes()
    source.write_text(f'{PRETRAINING}wandb: 1\n')
    process = tool('convert_vjepa_yaml.py', source, config, check=False)
    assert process.returncode == 2
    assert process.stderr.strip().endswith(f'error: {source}: unknown keys: wandb')
    assert config.read_bytes() == before


def test_nothing_is_written_that_cannot_be_read(tmp_path):
    source, config = tmp_path / 'source.yaml', tmp_path / 'config.py'
    (tmp_path / 'base.py').write_text('a = (')
    for text, destination, base, reason in (
        (PRETRAINING, tmp_path / 'config.yaml', BASE, 'does not end in .py'),
        (PRETRAINING, config, str(tmp_path / 'base.py'), 'config.py can.*not be read'),
        (
            PRETRAINING.replace('2.0e-04', '.inf'),
            config,
            BASE,
            "line 74: '.inf' is not",
        ),
        (
            PRETRAINING.replace('epochs: 50', 'epochs: ' + '9' * 5000),
            config,
            BASE,
            '64',
        ),
    ):
        source.write_text(text)
        with pytest.raises(UsageError, match=reason):
            write_config(str(source), str(destination), base)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            'base.py', 'source.yaml',
        ]  # fmt: skip
    same = source.rename(tmp_path / 'source.py')
    with pytest.raises(UsageError, match='choose another destination'):
        write_config(str(same), str(same), BASE)


def test_inherits_from_the_package_by_default():
    text, _ = convert_experiment(pretraining())
    assert Config.fromstring(text, '.py').default_scope == 'mmaction'


@pytest.mark.parametrize('text', ['a: [', '- 1', '', 'just text'])
def test_files_that_are_not_experiments(tmp_path, text):
    source = tmp_path / 'some.yaml'
    source.write_text(text)
    with pytest.raises(UsageError, match=r'some\.yaml'):
        read_experiment(source)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_experiment(tmp_path / 'nowhere.yaml')
