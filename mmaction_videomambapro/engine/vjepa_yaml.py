"""Experiment files of V-JEPA, and of Video Mamba JEPA, as configs of MMEngine."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping

from mmengine.config import Config

from .launch import UsageError
from .vjepa_keys import IMAGE_PROBE, MULTI_BLOCK, PRETRAINING, TUBE, VIDEO_PROBE, Values

BASE = 'mmaction_videomambapro::_base_/default_runtime.py'
PROBES = 'video_classification_frozen', 'image_classification_frozen'

# channels, layers, heads, hidden channels of a layer over channels
VITS = {
    'vit_tiny': (192, 12, 3, 4),
    'vit_small': (384, 12, 6, 4),
    'vit_base': (768, 12, 12, 4),
    'vit_large': (1024, 24, 16, 4),
    'vit_huge': (1280, 32, 16, 4),
    'vit_giant': (1408, 40, 16, 48 / 11),
}
VIDEOMAMBAS = {  # channels, layers
    'videomamba_tiny': (192, 24),
    'videomamba_small': (384, 24),
    'videomamba_middle': (576, 32),
    'videomamba_large': (768, 32),
}
POLICY = 'rand-m7-n4-mstd0.5-inc1'


def convert_experiment(
    experiment: Mapping, name: str = 'experiment', base: str = BASE
) -> tuple[str, list[str]]:
    """Translate an experiment of V-JEPA into a config.

    Pre-trainings, and probes of videos and of images (those with ``eval_name``).
    Rates, decays and the moving average follow the same curves, in updates; what is
    known as a fault there is not repeated: with accumulation, schedules count updates,
    and no layer is dropped in pre-training. Masks are made equally long by
    ``'truncate'``, as in V-JEPA. State-space models become VideoMambas with tokens of
    the predictor in raster order.

    Args:
        experiment (Mapping): Of :func:`read_experiment`.
        name (str): Of the file, for messages. Defaults to 'experiment'.
        base (str): Config to inherit hooks and the like from.
            Defaults to the default runtime.

    Returns:
        tuple[str, list[str]]: Text of the config, and keys of the experiment that have
        no meaning here.

    Raises:
        UsageError: If keys are unknown or missing, all of them; if a value is wrong or
            has no counterpart.
    """
    try:
        config, ignored = translate(experiment)
    except UsageError as e:
        raise UsageError(f'{name}: {e}') from e
    lines = [
        f'# From {" ".join(osp.basename(name).split())}. On its cluster: '
        f'tools/submit.py --nodes {experiment["nodes"]} '
        f'--tasks-per-node {experiment["tasks_per_node"]}',
        *(f'# Ignored, has no meaning here: {key}' for key in ignored),
        f'_base_ = {base!r}',
        '',
        Config(config).pretty_text.strip(),
        '',
    ]
    return '\n'.join(lines), ignored


def translate(experiment: Mapping) -> tuple[dict, list[str]]:
    """The config of :func:`convert_experiment` as a dictionary, without the base."""
    if 'eval_name' not in experiment:
        values, config = _pretraining(experiment)
    elif experiment['eval_name'] in PROBES:
        values, config = _probe(experiment)
    else:
        raise UsageError(
            f'eval_name is {experiment["eval_name"]!r}, expected one of '
            f'{", ".join(PROBES)}'
        )
    return config, values.ignored()


def _pretraining(experiment):
    masks = experiment.get('mask')
    if not (isinstance(masks, list) and masks):
        raise UsageError('mask is missing, or no list of masks')
    data = experiment.get('data')
    mask_type = data.get('mask_type') if isinstance(data, Mapping) else None
    # V-JEPA takes every other type for tubes
    mask_keys = MULTI_BLOCK if mask_type in (None, 'multiblock3d') else TUBE
    keys = {f'mask.{i}.{k}': v for i in range(len(masks)) for k, v in mask_keys.items()}
    values = Values(experiment, {**PRETRAINING, **keys})
    values.choose('app', ['vjepa'])
    _refuse_common(values, 'model')
    values.refuse('model.use_mask_tokens', False, 'predictors have mask tokens')
    values.refuse('model.zero_init_mask_tokens', False, 'mask tokens start at zero')
    values.refuse('data_aug.motion_shift', True, 'crops stay where they are in a clip')
    values.refuse(
        'data.filter_short_videos',
        True,
        'leave short videos out of the list, tools/data/convert_list.py --min-frames',
    )
    world = values['nodes'] * values['tasks_per_node']
    accumulate = values['optimization.accumulation_steps']
    clips = values['data.batch_size'] * world * accumulate
    return values, dict(
        model=_jepa(values),
        train_dataloader=_pretraining_data(values, clips),
        train_cfg=dict(
            type='EpochBasedTrainLoop', max_epochs=values['optimization.epochs']
        ),
        optim_wrapper=_pretraining_optimizer(values),
        param_scheduler=_schedules(
            values,
            values['optimization.epochs'],
            values['optimization.ipe_scale'],
            values['optimization.final_weight_decay'],
        ),
        default_hooks=dict(checkpoint=_checkpoints(values['meta.save_every_freq'])),
        auto_scale_lr=dict(enable=False, base_batch_size=clips),
        randomness=dict(seed=values['meta.seed']),
        work_dir=values['logging.folder'],
        **_resume(values),
    )


def _refuse_common(values, section):
    values.refuse(
        f'{section}.uniform_power',
        False,
        'positions have an equal share of channels for each axis',
    )
    if 'data.dataset_type' in values.keys:
        values.choose('data.dataset_type', ['VideoDataset', 'videodataset'])


def _resume(values):
    """From the file, or from the latest checkpoint if there is one."""
    if not values['meta.load_checkpoint']:
        return dict(resume=False)
    name = values['meta.read_checkpoint']
    folder = values['logging.folder']
    return dict(resume=True, load_from=name and osp.join(folder, name))


def _checkpoints(every):
    """Each epoch's takes the place of the last, or all of every some epochs stay."""
    if every > 0:
        return dict(interval=every, max_keep_ckpts=-1, save_best=None)
    return dict(interval=1, max_keep_ckpts=1, save_best=None)


def _jepa(values):
    name = values['model.model_name']
    backbone = _backbone(
        values,
        name,
        'model.model_name',
        img_size=values['data.crop_size'],
        patch_size=values['data.patch_size'],
        tubelet_size=values['data.tubelet_size'],
        num_frames=values['data.num_frames'],
    )
    predictor = dict(
        embed_dims=values['model.pred_embed_dim'], depth=values['model.pred_depth']
    )
    if name in VITS:
        predictor.update(type='JEPATransformerPredictor', num_heads=VITS[name][2])
    else:  # VideoMamba's layers
        mixer = dict(residual=False, masked=False)
        predictor.update(type='JEPAMambaPredictor', mixer_cfg=mixer)
    return dict(
        type='VideoJEPA',
        backbone=backbone,
        predictor=predictor,
        masks=_masks(values),
        ema=_moving_average(values),
        loss_exponent=float(values['loss.loss_exp']),
        var_coeff=float(values['loss.reg_coeff']),
        data_preprocessor=_preprocessor(values['data_aug.reprob']),
    )


def _backbone(values, name, key, **arguments):
    values.choose(key, {**VITS, **VIDEOMAMBAS})
    if name in VITS:
        channels, depth, heads, ratio = VITS[name]
        return dict(
            type='TokenVisionTransformer',
            embed_dims=channels,
            depth=depth,
            num_heads=heads,
            mlp_ratio=ratio,
            **arguments,
        )
    channels, depth = VIDEOMAMBAS[name]
    return dict(
        type='VideoMamba',
        arch=dict(embed_dims=channels, depth=depth),
        pos_embed='sincos3d',
        with_cls_token=False,
        out_type='raw',
        drop_path_rate=0.0,
        **arguments,
    )


def _preprocessor(erase_prob):
    config = dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    )
    if erase_prob:
        config['blending'] = dict(type='ClipRandomErasing', erase_prob=erase_prob)
    return config


def _masks(values):
    masks = {}
    for key in values.keys:
        section, _, rest = key.partition('.')
        if section == 'mask':
            number, name = rest.split('.')
            value = values[key]
            value = tuple(value) if isinstance(value, list) else value
            masks.setdefault(number, {})[name] = value
    return [
        dict(type='RandomTubeMask', **mask)
        if 'ratio' in mask
        else dict(type='MultiBlock3DMask', **mask, equalise='truncate')
        for mask in masks.values()
    ]


def _moving_average(values):
    """MMEngine's momentum is 1 minus V-JEPA's."""
    first, last = (round(1 - m, 12) for m in values['optimization.ema'])
    config = dict(
        type='LinearEMA',
        momentum=first,
        interval=values['optimization.accumulation_steps'],
    )
    if first != last:
        updates = values['optimization.epochs'] * values['optimization.ipe']
        total = round(updates * values['optimization.ipe_scale'])
        config.update(end_momentum=last, total_updates=total)
    return config


def _pretraining_data(values, clips):
    datasets = [
        dict(type='VideoClsDataset', ann_file=path, delimiter=' ')
        for path in values['data.datasets']
    ]
    for dataset in datasets:
        if dataset['ann_file'].endswith('.npy'):
            raise UsageError(
                f'data.datasets: {dataset["ann_file"]} is no text: write its paths '
                'into a list of "path label" lines'
            )
        dataset['pipeline'] = _pretraining_pipeline(values)
    sampler = dict(type='SeededSampler', num_samples=clips * values['optimization.ipe'])
    weights = values['data.datasets_weights']
    if weights is not None:
        if len(weights) != len(datasets):
            raise UsageError(
                f'data.datasets_weights has {len(weights)} numbers for '
                f'{len(datasets)} datasets'
            )
        if len(datasets) > 1:
            sampler.update(weights=weights, groups='dataset')
    dataset = datasets[0]
    if len(datasets) > 1:
        dataset = dict(type='ConcatDataset', datasets=datasets)
    return dict(
        batch_size=values['data.batch_size'],
        **_workers(values['data.num_workers']),
        drop_last=True,
        sampler=sampler,
        dataset=dataset,
    )


def _workers(number):
    return dict(num_workers=number, persistent_workers=number > 0)


def _pretraining_pipeline(values):
    size = values['data.crop_size']
    sample = dict(
        type='SampleVJEPA',
        clip_len=values['data.num_frames'],
        frame_interval=values['data.sampling_rate'],
        num_clips=values['data.num_clips'],
        clip_duration=values['data.clip_duration'],
    )
    augment = [dict(type='ClipRandAugment', policy=POLICY, interpolation='bicubic')]
    return [
        dict(type='VideoInit'),
        sample,
        dict(type='VideoDecode'),
        *(augment if values['data_aug.auto_augment'] else ()),
        dict(
            type='RandomResizedCrop',
            area_range=_floats(values['data_aug.random_resize_scale']),
            aspect_ratio_range=_floats(values['data_aug.random_resize_aspect_ratio']),
        ),
        dict(type='Resize', scale=(size, size), keep_ratio=False),
        dict(type='Flip', flip_ratio=0.5),
        *_pack(),
    ]


def _floats(pair):
    return tuple(map(float, pair))


def _pack():
    return (
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    )


def _pretraining_optimizer(values):
    precision = values.choose(
        'meta.dtype',
        {
            'float32': dict(type='GuardedOptimWrapper'),
            'bfloat16': dict(type='GuardedAmpOptimWrapper', **_bfloat16()),
            'float16': dict(
                type='GuardedAmpOptimWrapper', dtype='float16', loss_scale='dynamic'
            ),
        },
    )
    config = dict(
        **precision,
        accumulative_counts=values['optimization.accumulation_steps'],
        optimizer=dict(
            type='AdamW',
            lr=values['optimization.lr'],
            betas=tuple(values['optimization.betas']),
            eps=values['optimization.eps'],
            weight_decay=values['optimization.weight_decay'],
        ),
        paramwise_cfg=dict(
            bias_decay_mult=0.0,
            flat_decay_mult=0.0,
            custom_keys=dict(
                A_log=dict(decay_mult=0.0),
                A_b_log=dict(decay_mult=0.0),
                mask_tokens=dict(decay_mult=0.0),
            ),
        ),
    )
    if values['optimization.clip_grad'] is not None:
        # V-JEPA clips from the second epoch behind the warm-up on
        warm = (values['optimization.warmup'] + 1) * values['optimization.ipe']
        config['clip_grad'] = dict(max_norm=float(values['optimization.clip_grad']))
        config['clip_begin'] = round(warm)
    return config


def _bfloat16():
    return dict(dtype='bfloat16', loss_scale=dict(enabled=False))


def _schedules(values, epochs, stretch, final_decay):
    """A linear warm-up and a cosine of the rate, a cosine of the decay; in epochs."""
    warmup, total = _whole(values['optimization.warmup']), _whole(stretch * epochs)
    start, lr = values['optimization.start_lr'], values['optimization.lr']
    decay = values['optimization.weight_decay']
    if not warmup < epochs:
        raise UsageError(
            f'optimization.warmup is {warmup}, which has to be below {epochs} epochs'
        )
    common = dict(by_epoch=True, convert_to_iter_based=True)
    schedulers = []
    if warmup:
        if not 0 < start <= lr:
            raise UsageError(
                f'optimization.start_lr is {start}, expected above 0 and at most '
                f'lr={lr}'
            )
        schedulers.append(
            dict(type='LinearLR', start_factor=start / lr, end=warmup, **common)
        )
    schedulers.append(
        dict(
            type='CosineAnnealingLR',
            begin=warmup,
            end=epochs,
            T_max=_whole(total - warmup),
            eta_min=float(values['optimization.final_lr']),
            **common,
        )
    )
    if final_decay != decay:
        if not decay:
            raise UsageError(
                'optimization.weight_decay is 0, which can not become '
                f'{final_decay}: what is not decayed could not be told from the rest'
            )
        schedulers.append(
            dict(
                type='CosineAnnealingParamScheduler',
                param_name='weight_decay',
                end=epochs,
                T_max=total,
                # a ratio leaves what is not decayed at 0
                eta_min_ratio=final_decay / decay,
                **common,
            )
        )
    return schedulers


def _whole(number):
    return int(number) if number == int(number) else number


def _probe(experiment):
    video = experiment['eval_name'] == PROBES[0]
    values = Values(experiment, VIDEO_PROBE if video else IMAGE_PROBE)
    _refuse_common(values, 'pretrain')
    attend = video and values['optimization.attend_across_segments']
    epochs = values['optimization.num_epochs']
    batch = values['optimization.batch_size']
    train, val = (_video_probe_data if video else _image_probe_data)(values)
    world = values['nodes'] * values['tasks_per_node']
    clips = batch * world * values['optimization.accumulation_steps']
    test = dict(
        batch_size=batch,
        **_workers(8),
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(**val, test_mode=True),
    )
    folder = osp.join(values['pretrain.folder'], values['eval_name'])
    return values, dict(
        model=_recognizer(values, values['data.num_segments'] if attend else 1),
        train_dataloader=dict(
            batch_size=batch,
            **_workers(8),
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
        param_scheduler=_schedules(values, epochs, 1, 1e-6),
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
    backbone = _backbone(
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
        data_preprocessor=_preprocessor(0.25),
    )


def _probe_optimizer(values):
    amp = dict(type='AmpOptimWrapper', **_bfloat16())
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
        *_pack(),
    ]
    val = [
        dict(type='VideoInit'),
        dict(**sample, num_clips=segments, random=False),
        dict(type='VideoDecode'),
        *views,
        *_pack(),
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
        dict(type='ClipRandAugment', policy='rand-m9-n2-mstd0.5-inc1'),
        dict(type='RandomResizedCrop'),
        dict(type='Resize', scale=(size, size), keep_ratio=False),
        dict(type='Flip', flip_ratio=0.5),
        *_pack(),
    ]
    return tuple(
        dict(
            type='ImageListDataset',
            ann_file=osp.join(folder, split),
            pipeline=pipeline,
        )
        for split, pipeline in (
            ('train', train),
            ('val', [*load, *_center(size), *_pack()]),
        )
    )
