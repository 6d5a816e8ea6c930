"""Translates V-JEPA's attentive probes into MMEngine configs."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping

from ...errors import UsageError
from .keys import (
    IMAGE_PROBE,
    IMAGE_PROBE_2,
    IMAGE_PROBE_2_NAMES,
    IMAGE_PROBE_NAMES,
    ONE_PROBE,
    VIDEO_PROBE,
    VIDEO_PROBE_2,
    VIDEO_PROBE_2_NAMES,
    Values,
)
from .parts import (
    POLICY,
    VIDEOMAMBAS,
    VITS,
    bfloat16,
    cosine_of_decay,
    make_backbone,
    pack,
    preprocessor,
    refuse_common,
    warmup_and_cosine,
    workers,
)

PROBES = 'video_classification_frozen', 'image_classification_frozen'
GRID = 'experiment.optimization.multihead_kwargs'
MODULES = {  # modules that build V-JEPA 2's encoders, and whether layers are selected
    f'evals.{PROBES[0]}.modelcustom.vit_encoder_multiclip': False,
    f'evals.{PROBES[0]}.modelcustom.vit_encoder_multiclip_multilevel': True,
    f'evals.{PROBES[1]}.modelcustom.vit_encoder': False,
}


def probe(experiment):
    """The values of an experiment, and its config."""
    video = experiment['eval_name'] == PROBES[0]
    second = 'experiment' in experiment
    values = (_second_version if second else _first_version)(experiment, video)
    refuse_common(values, 'pretrain')
    batch = values['optimization.batch_size']
    train, val = (_video_probe_data if video else _image_probe_data)(values)
    for dataset in (train, val):
        dataset['num_classes'] = values['data.num_classes']
    test = dict(
        batch_size=batch,
        **workers(values['num_workers']),
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(**val, test_mode=True),
    )
    config = dict(
        model=_recognizer(values, second),
        test_dataloader=test,
        test_evaluator=_evaluators(second)[1],
        test_cfg=dict(type='TestLoop'),
        work_dir=osp.join(
            values['pretrain.folder'], values['eval_name'], values['tag'] or ''
        ),
    )
    if not values['val_only']:
        config.update(_training(values, second, train))
        config.update(
            val_dataloader=test,
            val_evaluator=_evaluators(second)[0],
            val_cfg=dict(type='ValLoop'),
        )
    return values, config


def _first_version(experiment, video):
    implied = {
        'val_only': False,
        'num_workers': 8,
        'pretrain.use_rope': False,
        'experiment.data.normalization': None,
        'model_kwargs.wrapper_kwargs.out_layers': None,
    }
    if not video:
        implied.update(_IMAGES)
        return Values(experiment, IMAGE_PROBE, IMAGE_PROBE_NAMES, implied)
    return Values(experiment, VIDEO_PROBE, implied=implied)


def _second_version(experiment, video):
    optimization = experiment['experiment']
    if isinstance(optimization, Mapping):
        optimization = optimization.get('optimization')
    probes = isinstance(optimization, Mapping) and optimization.get('multihead_kwargs')
    if not (isinstance(probes, list) and probes):
        raise UsageError(f'{GRID} is missing, or is not a list of probes')
    each = {
        f'{GRID}.{i}.{k}': v for i in range(len(probes)) for k, v in ONE_PROBE.items()
    }
    encoder = 'model_kwargs.pretrain_kwargs.encoder'
    names = VIDEO_PROBE_2_NAMES if video else IMAGE_PROBE_2_NAMES
    implied = {
        'optimization.accumulation_steps': 1,
        'optimization.attend_across_segments': True,
        'model_kwargs.wrapper_kwargs.out_layers': None,
    }
    if not video:
        implied.update(_IMAGES)
    values = Values(
        experiment,
        (VIDEO_PROBE_2 if video else IMAGE_PROBE_2) | each,
        {**names, 'pretrain.use_rope': f'{encoder}.use_rope'},
        implied,
    )
    values.refuse(f'{encoder}.use_silu', True, 'MLPs have GELU')
    if video:
        values.refuse(
            'model_kwargs.wrapper_kwargs.use_pos_embed',
            True,
            'probes get the tokens of clips as they are',
        )
    asked = values.choose('model_kwargs.module_name', MODULES)
    layers = 'model_kwargs.wrapper_kwargs.out_layers'
    if asked != (values[layers] is not None):
        raise UsageError(
            f'{layers} is {values[layers]}, which does not fit '
            f'model_kwargs.module_name={values["model_kwargs.module_name"]}: encoders '
            'whose name ends in _multilevel, and no others, give several layers'
        )
    if values['val_only']:
        for key in (
            GRID,
            'data.dataset_train',
            'optimization.num_epochs',
            'optimization.use_bfloat16',
            'resume_checkpoint',
        ):
            values.ignore(key, 'val_only: nothing is trained')
    return values


_IMAGES = {'optimization.attend_across_segments': False, 'data.num_segments': 1}


def _recognizer(values, second):
    name = values['pretrain.model_name']
    prefix = values.choose(
        'pretrain.checkpoint_key',
        {'target_encoder': 'target.module.', 'encoder': 'backbone.'},
    )
    checkpoint = values['pretrain.checkpoint']
    if not second:
        checkpoint = osp.join(values['pretrain.folder'], checkpoint)
    backbone = make_backbone(
        values,
        name,
        'pretrain.model_name',
        img_size=values['optimization.resolution'],
        patch_size=values['pretrain.patch_size'],
        tubelet_size=values['pretrain.tubelet_size'],
        num_frames=values['pretrain.frames_per_clip'],
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix=prefix),
    )
    if name in VITS:
        channels, _, heads, _ = VITS[name]
        backbone['frozen'] = True
    else:
        channels, depth = VIDEOMAMBAS[name]
        heads = channels // 64
        backbone['frozen_stages'] = depth
    _choose_layers(values, name, backbone)
    attend = values['optimization.attend_across_segments']
    head = dict(
        num_classes=values['data.num_classes'],
        in_channels=channels,
        num_heads=heads,
        num_clips=values['data.num_segments'] if attend else 1,
        average_clips='prob',
    )
    if second:
        head.update(_grid(values, channels))
    return dict(
        type='Recognizer3D',
        backbone=backbone,
        cls_head=dict(type='AttentiveProbeGrid' if second else 'AttentiveHead', **head),
        data_preprocessor=preprocessor(0.25, values['experiment.data.normalization']),
    )


def _choose_layers(values, name, backbone):
    key = 'model_kwargs.wrapper_kwargs.out_layers'
    layers = values[key]
    if layers is None:
        return
    if name not in VITS:
        raise UsageError(
            f'{key}: {layers} is not possible: VideoMamba gives the tokens of its last '
            'layer'
        )
    if max(layers) >= VITS[name][1]:
        raise UsageError(
            f'{key} is {layers}, but the {VITS[name][1]} layers of {name} are numbered '
            'from 0'
        )
    backbone['out_layers'] = layers


def _grid(values, channels):
    """The settings of a grid of V-JEPA 2's probes."""
    heads = values['experiment.classifier.num_heads']
    if channels % heads:
        raise UsageError(
            f'experiment.classifier.num_heads is {heads}, which does not divide the '
            f'{channels} channels of {values["pretrain.model_name"]}'
        )
    depth = values['experiment.classifier.num_probe_blocks']
    if depth > 4:
        raise UsageError(
            f'experiment.classifier.num_probe_blocks is {depth}, expected at most 4'
        )
    rates, decays = _each(values, 'lr'), _each(values, 'weight_decay')
    return dict(num_heads=heads, depth=depth, pairs=list(zip(rates, decays)))


def _each(values, name):
    """One setting, for each of V-JEPA 2's probes."""
    keys = [k for k in values.known if k.startswith(f'{GRID}.')]
    return [float(values[k]) for k in keys if k.endswith(f'.{name}')]


def _evaluators(second):
    """For validation and tests; in tests AccMetric scores the probe chosen before."""
    accuracy = dict(type='AccMetric')
    if not second:
        return accuracy, accuracy
    return (
        dict(type='ProbeGridMetric'),
        [accuracy, dict(type='ProbeGridMetric', prefix='probes')],
    )


def _training(values, second, dataset):
    batch, accumulate = (
        values[f'optimization.{k}'] for k in ('batch_size', 'accumulation_steps')
    )
    epochs = values['optimization.num_epochs']
    config = dict(
        train_dataloader=dict(
            batch_size=batch,
            **workers(values['num_workers']),
            sampler=dict(type='SeededSampler'),
            dataset=dataset,
        ),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1),
        auto_scale_lr=dict(
            enable=False,
            base_batch_size=batch
            * values['nodes']
            * values['tasks_per_node']
            * accumulate,
        ),
        resume=values['resume_checkpoint'],
    )
    if second:
        return dict(
            **config,
            optim_wrapper=dict(
                **_precision(values),
                constructor='ProbeGridOptimWrapperConstructor',
                optimizer=dict(type='AdamW'),
            ),
            param_scheduler=_grid_schedules(values, epochs),
            default_hooks=dict(probe_choice=dict(type='ProbeChoiceHook')),
        )
    return dict(
        **config,
        optim_wrapper=dict(
            **_precision(values),
            accumulative_counts=accumulate,
            optimizer=dict(
                type='AdamW',
                lr=values['optimization.lr'],
                weight_decay=values['optimization.weight_decay'],
            ),
            paramwise_cfg=dict(bias_decay_mult=0.0, flat_decay_mult=0.0),
            clip_grad=dict(max_norm=1.0),
        ),
        param_scheduler=[
            *warmup_and_cosine(values, epochs, 1),
            *cosine_of_decay(values, 1, 1e-6),
        ],
    )


def _precision(values):
    if values['optimization.use_bfloat16']:
        return dict(type='AmpOptimWrapper', **bfloat16())
    return dict(type='OptimWrapper')


def _grid_schedules(values, epochs):
    common = dict(
        type='ProbeGridScheduler', end=epochs, by_epoch=True, convert_to_iter_based=True
    )
    rate = dict(
        **common,
        param_name='lr',
        starts=_shares(values, 'start_lr', 'lr'),
        warmups=_each(values, 'warmup'),
        finals=_shares(values, 'final_lr', 'lr'),
    )
    decays = _shares(values, 'final_weight_decay', 'weight_decay')
    if set(decays) == {1.0}:
        return [rate]
    return [rate, dict(**common, param_name='weight_decay', finals=decays)]


def _shares(values, name, whole):
    """One setting of every probe, relative to another."""
    shares = []
    for i, (value, base) in enumerate(zip(_each(values, name), _each(values, whole))):
        if value and not base:
            raise UsageError(
                f'{GRID}.{i}.{name} is {value:g}, but {whole} is 0, of which it is a '
                'share here'
            )
        shares.append(value / base if base else 1.0)
    return shares


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
    """Folders of classes; an image is a clip of identical frames."""
    size = values['optimization.resolution']
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
