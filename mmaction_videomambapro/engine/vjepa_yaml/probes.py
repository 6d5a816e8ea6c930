"""Attentive probes of V-JEPA as configs of MMEngine."""

from __future__ import annotations

import os.path as osp

from .keys import IMAGE_PROBE, VIDEO_PROBE, Values
from .parts import (
    POLICY,
    VIDEOMAMBAS,
    VITS,
    bfloat16,
    make_backbone,
    pack,
    preprocessor,
    refuse_common,
    schedules,
    workers,
)

PROBES = 'video_classification_frozen', 'image_classification_frozen'


def probe(experiment):
    """The values of an experiment, and its config."""
    video = experiment['eval_name'] == PROBES[0]
    values = Values(experiment, VIDEO_PROBE if video else IMAGE_PROBE)
    refuse_common(values, 'pretrain')
    attend = video and values['optimization.attend_across_segments']
    epochs = values['optimization.num_epochs']
    batch = values['optimization.batch_size']
    train, val = (_video_probe_data if video else _image_probe_data)(values)
    world = values['nodes'] * values['tasks_per_node']
    clips = batch * world * values['optimization.accumulation_steps']
    test = dict(
        batch_size=batch,
        **workers(8),
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(**val, test_mode=True),
    )
    folder = osp.join(values['pretrain.folder'], values['eval_name'])
    return values, dict(
        model=_recognizer(values, values['data.num_segments'] if attend else 1),
        train_dataloader=dict(
            batch_size=batch,
            **workers(8),
            drop_last=True,
            sampler=dict(type='SeededSampler'),
            dataset=train,
        ),
        val_dataloader=test,
        test_dataloader=test,
        val_evaluator=dict(type='AccMetric'),
        test_evaluator=dict(type='AccMetric'),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
        optim_wrapper=_probe_optimizer(values),
        param_scheduler=schedules(values, epochs, 1, 1e-6),
        auto_scale_lr=dict(enable=False, base_batch_size=clips),
        work_dir=osp.join(folder, values['tag'] or ''),
        resume=values['resume_checkpoint'],
    )


def _recognizer(values, num_clips):
    name = values['pretrain.model_name']
    prefix = values.choose(
        'pretrain.checkpoint_key',
        {'target_encoder': 'target.module.', 'encoder': 'backbone.'},
    )
    section = 'data' if 'data.resolution' in values else 'optimization'
    backbone = make_backbone(
        values,
        name,
        'pretrain.model_name',
        img_size=values[f'{section}.resolution'],
        patch_size=values['pretrain.patch_size'],
        tubelet_size=values['pretrain.tubelet_size'],
        num_frames=values['pretrain.frames_per_clip'],
        init_cfg=dict(
            type='Pretrained',
            checkpoint=osp.join(
                values['pretrain.folder'], values['pretrain.checkpoint']
            ),
            prefix=prefix,
        ),
    )
    if name in VITS:
        channels, _, heads, _ = VITS[name]
        backbone['frozen'] = True
    else:
        channels, depth = VIDEOMAMBAS[name]
        heads = channels // 64
        backbone['frozen_stages'] = depth
    return dict(
        type='Recognizer3D',
        backbone=backbone,
        cls_head=dict(
            type='AttentiveHead',
            num_classes=values['data.num_classes'],
            in_channels=channels,
            num_heads=heads,
            num_clips=num_clips,
            average_clips='prob',
        ),
        data_preprocessor=preprocessor(0.25),
    )


def _probe_optimizer(values):
    amp = dict(type='AmpOptimWrapper', **bfloat16())
    return dict(
        **(amp if values['optimization.use_bfloat16'] else dict(type='OptimWrapper')),
        accumulative_counts=values['optimization.accumulation_steps'],
        optimizer=dict(
            type='AdamW',
            lr=values['optimization.lr'],
            weight_decay=values['optimization.weight_decay'],
        ),
        paramwise_cfg=dict(bias_decay_mult=0.0, flat_decay_mult=0.0),
        clip_grad=dict(max_norm=1.0),
    )


def _video_probe_data(values):
    size = values['optimization.resolution']
    attend = values['optimization.attend_across_segments']
    segments = values['data.num_segments']
    sample = dict(
        type='SampleVJEPA',
        clip_len=values['data.frames_per_clip'],
        frame_interval=values['data.frame_step'],
        allow_overlap=True,
        clip_duration=values['pretrain.clip_duration'],
    )
    views = values.choose('data.num_views_per_segment', {1: _center, 3: _three})(size)
    train = [
        dict(type='VideoInit'),
        dict(**sample, num_clips=segments if attend else 1),
        dict(type='VideoDecode'),
        dict(type='ClipRandAugment', policy=POLICY, interpolation='bicubic'),
        dict(type='RandomResizedCrop'),
        dict(type='Resize', scale=(size, size), keep_ratio=False),
        *pack(),
    ]
    val = [
        dict(type='VideoInit'),
        dict(**sample, num_clips=segments, random=False),
        dict(type='VideoDecode'),
        *views,
        *pack(),
    ]
    common = dict(type='VideoClsDataset', delimiter=' ')
    return (
        dict(**common, ann_file=values['data.dataset_train'], pipeline=train),
        dict(**common, ann_file=values['data.dataset_val'], pipeline=val),
    )


def _center(size):
    return (
        dict(type='Resize', scale=(-1, size * 256 // 224)),
        dict(type='CenterCrop', crop_size=size),
    )


def _three(size):
    return (
        dict(type='Resize', scale=(-1, size)),
        dict(type='ThreeCrop', crop_size=size),
    )


def _image_probe_data(values):
    """Folders of classes; an image is a clip of equal frames."""
    size = values['data.resolution']
    folder = osp.join(values['data.root_path'], values['data.image_folder'])
    load = [
        dict(type='SampleFrames', clip_len=values['pretrain.frames_per_clip']),
        dict(type='RawFrameDecode'),
    ]
    train = [
        *load,
        dict(type='RandomResizedCrop'),
        dict(
            type='Resize',
            scale=(size, size),
            keep_ratio=False,
            interpolation='bicubic',
        ),
        dict(type='Flip', flip_ratio=0.5),
        dict(
            type='ClipAutoAugment',
            policy='original',
            interpolation='bicubic',
            fill=(124, 116, 104),
        ),
        *pack(),
    ]
    return tuple(
        dict(
            type='ImageListDataset',
            ann_file=osp.join(folder, split),
            pipeline=pipeline,
        )
        for split, pipeline in (
            ('train', train),
            ('val', [*load, *_center(size), *pack()]),
        )
    )
