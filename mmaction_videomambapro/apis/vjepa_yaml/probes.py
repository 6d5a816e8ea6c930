"""Translates V-JEPA's attentive probes into MMEngine configs."""

from __future__ import annotations

import os.path as osp

from ...errors import UsageError
from ...models.backbones import VideoMamba
from .keys import MODULES, ONE_PROBE, PREFIXES, PROBE_KEYS, VIDEO, Values, of_each
from .parts import (
    VIDEOMAMBAS,
    VITS,
    batches_per_update,
    cosine_of_decay,
    edit_backbone,
    edit_loader,
    edit_wrapper,
    note_rope,
    warmup_and_cosine,
)
from .recipes import recipe

GRID = 'experiment.optimization.multihead_kwargs'


def probe(experiment):
    """The values of an experiment, its config, and recipes that it can inherit."""
    video, second = experiment['eval_name'] == VIDEO, 'experiment' in experiment
    keys, names = PROBE_KEYS[experiment['eval_name'], second]
    if second:
        keys = keys | of_each(experiment, GRID, ONE_PROBE)
    values = Values(experiment, keys, names)
    if second:
        _check_second_version(values)
    note_rope(values, 'pretrain')
    recipes = 'models/attentive_probe', 'schedules/attentive_probe'
    config, schedule = map(recipe, recipes)
    _edit_model(config.model, values, second)
    data = (_video_data if video else _image_data)(values)
    if not second:
        data.val_evaluator = data.test_evaluator = dict(type='AccMetric')
    splits = ('test',) if values['val_only'] else ('train', 'val', 'test')
    for key, value in data.items():
        if key.startswith(splits) and key.endswith(('_dataloader', '_evaluator')):
            config[key] = value
    config.work_dir = osp.join(
        values['pretrain.folder'], values['eval_name'], values['tag'] or ''
    )
    if values['val_only']:
        config.test_cfg = schedule.test_cfg
    else:
        _edit_schedule(schedule, values, second)
        config.update(schedule, resume=values['resume_checkpoint'])
        if second:
            config.default_hooks = dict(probe_choice=dict(type='ProbeChoiceHook'))
    return values, config, recipes


def _check_second_version(values):
    key, layers = values.name('wrapper.out_layers'), values['wrapper.out_layers']
    module, name = values['pretrain.module_name'], values['pretrain.model_name']
    if MODULES[module] != (layers is not None):
        raise UsageError(
            f'{key} is {layers}, which does not fit model_kwargs.module_name={module}: '
            'encoders whose name ends in _multilevel, and no others, give several '
            'layers'
        )
    if layers is not None and name not in VITS:
        raise UsageError(
            f'{key}: {layers} is not supported: VideoMamba gives the tokens of its '
            'last layer'
        )
    if layers is not None and max(layers) >= VITS[name]['depth']:
        raise UsageError(
            f'{key} is {layers}, but the {VITS[name]["depth"]} layers of {name} are '
            'numbered from 0'
        )
    if values['val_only']:
        values.ignore(
            'val_only: nothing is trained',
            GRID,
            'data.dataset_train',
            'optimization.num_epochs',
            'optimization.use_bfloat16',
            'resume_checkpoint',
        )


def _edit_model(model, values, second):
    name = values['pretrain.model_name']
    prefix = PREFIXES[values['pretrain.checkpoint_key']]
    checkpoint = values['pretrain.checkpoint']
    if not second:
        checkpoint = osp.join(values['pretrain.folder'], checkpoint)
    edit_backbone(
        model,
        name,
        img_size=values['optimization.resolution'],
        patch_size=values['pretrain.patch_size'],
        tubelet_size=values['pretrain.tubelet_size'],
        num_frames=values['pretrain.frames_per_clip'],
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix=prefix),
    )
    backbone = model.backbone
    if name in VITS:
        size = VITS[name]
        heads = size['num_heads']
        backbone.frozen = True
    else:
        size = VIDEOMAMBAS[name]
        size = size if isinstance(size, dict) else VideoMamba.arch_zoo[size]
        heads = size['embed_dims'] // 64
        backbone.frozen_stages = size['depth']
    channels = size['embed_dims']
    if values['wrapper.out_layers'] is not None:
        backbone.out_layers = values['wrapper.out_layers']
    attend = values['optimization.attend_across_segments']
    head = model.cls_head
    head.update(
        num_classes=values['data.num_classes'],
        in_channels=channels,
        num_heads=heads,
        num_clips=values['data.num_segments'] if attend else 1,
    )
    del head.lrs, head.weight_decays
    if second:
        head.update(_grid(values, channels))
    else:
        head.type = 'AttentiveHead'
    if values['data.normalization']:
        mean, std = values['data.normalization']
        model.data_preprocessor.update(
            mean=[round(255 * x, 3) for x in mean], std=[round(255 * x, 3) for x in std]
        )


def _grid(values, channels):
    """The settings of a grid of V-JEPA 2's probes."""
    heads = values['classifier.num_heads']
    if channels % heads:
        raise UsageError(
            f'experiment.classifier.num_heads is {heads}, which does not divide the '
            f'{channels} channels of {values["pretrain.model_name"]}'
        )
    depth = values['classifier.num_probe_blocks']
    rates, decays = _each(values, 'lr'), _each(values, 'weight_decay')
    return dict(num_heads=heads, depth=depth, pairs=list(zip(rates, decays)))


def _each(values, name):
    """One setting, for each of V-JEPA 2's probes."""
    return [float(probe[name]) for probe in values.each(GRID)]


def _edit_schedule(schedule, values, second):
    epochs = values['optimization.num_epochs']
    schedule.train_cfg.max_epochs = epochs
    videos = values['optimization.batch_size'] * batches_per_update(values)
    schedule.auto_scale_lr.base_batch_size = videos
    wrapper = schedule.optim_wrapper
    if not values['optimization.use_bfloat16']:
        edit_wrapper(wrapper, 'float32')
    if second:
        schedule.param_scheduler = _grid_schedules(values, schedule)
        return
    del wrapper.constructor
    wrapper.optimizer.update(
        lr=values['optimization.lr'], weight_decay=values['optimization.weight_decay']
    )
    wrapper.update(
        accumulative_counts=values['optimization.accumulation_steps'],
        paramwise_cfg=dict(bias_decay_mult=0.0, flat_decay_mult=0.0),
        clip_grad=dict(max_norm=1.0),
    )
    schedule.param_scheduler = [
        *warmup_and_cosine(values, epochs, 1),
        *cosine_of_decay(values, 1, 1e-6),
    ]


def _grid_schedules(values, schedule):
    (common,) = schedule.param_scheduler
    common.update(type='ProbeGridScheduler', end=values['optimization.num_epochs'])
    del common.eta_min
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


def _video_data(values):
    data = recipe('datasets/kinetics400_16x8x3')
    segments = values['data.num_segments']
    views = {1: data.val_pipeline, 3: data.test_pipeline}
    views = views[values['data.num_views_per_segment']]
    data.test_dataloader.dataset.pipeline = views
    sample = dict(
        clip_len=values['data.frames_per_clip'],
        frame_interval=values['data.frame_step'],
        clip_duration=values['pretrain.clip_duration'],
    )
    attend = values['optimization.attend_across_segments']
    for loader, list_, clips in (
        (data.train_dataloader, 'data.dataset_train', segments if attend else 1),
        (data.test_dataloader, 'data.dataset_val', segments),
    ):
        loader.dataset.update(ann_file=values[list_], delimiter=' ')
        _edit_loader(loader, values, SampleVJEPA=dict(**sample, num_clips=clips))
    data.val_dataloader = data.test_dataloader
    return data


def _image_data(values):
    """Folders of classes; an image is a clip of identical frames."""
    data = recipe('datasets/imagenet_16f')
    folder = osp.join(values['data.root_path'], values['data.image_folder'])
    sample = dict(clip_len=values['pretrain.frames_per_clip'])
    for split in ('train', 'val'):
        loader = data[f'{split}_dataloader']
        loader.dataset.ann_file = osp.join(folder, split)
        _edit_loader(loader, values, SampleFrames=sample)
    data.test_dataloader = data.val_dataloader
    return data


def _edit_loader(loader, values, **transforms):
    edit_loader(
        loader,
        values['optimization.resolution'],
        values['optimization.batch_size'],
        values['num_workers'],
        **transforms,
    )
    loader.dataset.num_classes = values['data.num_classes']
    del loader.dataset.data_prefix
