"""Translates V-JEPA's pre-trainings into MMEngine configs."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping

from ...errors import UsageError
from ...models.selfsup.masks import MultiBlock3DMask, RandomTubeMask
from .keys import MULTI_BLOCK, MULTI_BLOCK_2, PRETRAINING, PRETRAINING_2, TUBE, Values
from .parts import (
    POLICY,
    VITS,
    bfloat16,
    cosine_of_decay,
    make_backbone,
    pack,
    preprocessor,
    refuse_common,
    straight_line,
    warmup_and_cosine,
    workers,
)

MASKS = {mask.__name__: mask for mask in (MultiBlock3DMask, RandomTubeMask)}


def pretraining(experiment):
    """The values of an experiment, and its config."""
    if experiment.get('app') != 'vjepa':
        raise UsageError(
            f'app is {experiment.get("app")!r}, expected vjepa: others, as training '
            'with the actions of a robot, have no counterpart here'
        )
    masks = experiment.get('mask')
    if not (isinstance(masks, list) and masks):
        raise UsageError(
            'mask is missing, or is not a list of masks; a probe would have an '
            'eval_name'
        )
    data = experiment.get('data')
    data = data if isinstance(data, Mapping) else {}
    read = _second_version if 'dataset_fpcs' in data else _first_version
    values = read(experiment, data, len(masks))
    refuse_common(values, 'model')
    values.refuse('model.use_mask_tokens', False, 'predictors have mask tokens')
    values.refuse('model.zero_init_mask_tokens', False, 'mask tokens start at zero')
    values.refuse('data_aug.motion_shift', True, 'crops stay where they are in a clip')
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
        param_scheduler=_schedules(values),
        default_hooks=dict(checkpoint=_checkpoints(values['meta.save_every_freq'])),
        auto_scale_lr=dict(enable=False, base_batch_size=clips),
        randomness=dict(seed=values['meta.seed']),
        work_dir=values['logging.folder'],
        **_resume(values),
    )


def _first_version(experiment, data, masks):
    # V-JEPA treats every other type as tubes
    mask_type = data.get('mask_type')
    mask = MULTI_BLOCK if mask_type in (None, 'multiblock3d') else TUBE
    implied = {
        'data.fps': None,
        'data.persistent_workers': True,
        'model.pred_num_heads': None,
        'model.use_activation_checkpointing': False,
        'model.use_rope': False,
        'optimization.is_anneal': False,
    }
    values = Values(experiment, PRETRAINING | _of_each(mask, masks), implied=implied)
    values.refuse(
        'data.filter_short_videos',
        True,
        'leave short videos out of the list, tools/data/convert_list.py --min-frames',
    )
    return values


def _second_version(experiment, data, masks):
    implied = {
        'data.num_clips': 1,
        'data.sampling_rate': 1,
        'data.clip_duration': None,
        'loss.reg_coeff': 0.0,
        'optimization.accumulation_steps': 1,
        'optimization.clip_grad': None,
    }
    values = Values(
        experiment,
        PRETRAINING_2 | _of_each(MULTI_BLOCK_2, masks),
        {'logging.folder': 'folder'},
        implied,
    )
    frames = values['data.dataset_fpcs']
    if len(frames) != len(values['data.datasets']):
        raise UsageError(
            f'data.dataset_fpcs has {len(frames)} numbers for '
            f'{len(values["data.datasets"])} datasets'
        )
    if len(set(frames)) > 1:
        raise UsageError(
            f'data.dataset_fpcs is {frames}: clips of different lengths are not '
            'possible in one batch'
        )
    implied['data.num_frames'] = frames[0]
    for key in ('model.use_silu', 'model.use_pred_silu'):
        values.refuse(key, True, 'MLPs have GELU')
    for i in range(masks):
        for key in ('pred_full_complement', 'inv_block'):
            values.refuse(
                f'mask.{i}.{key}', True, 'what blocks cover is what is predicted'
            )
    if values['optimization.is_anneal']:
        if values['optimization.anneal_ckpt'] is None:
            raise UsageError('optimization.anneal_ckpt is missing: is_anneal needs it')
        values.ignore(
            'optimization.resume_anneal', 'tools/train.py --resume goes on with a run'
        )
        for key in ('optimization.start_lr', 'optimization.warmup'):
            values.ignore(key, 'a cool-down has no warm-up')
        for key in ('meta.load_checkpoint', 'meta.read_checkpoint'):
            values.ignore(key, 'a cool-down starts from anneal_ckpt')
    else:
        for key in ('optimization.anneal_ckpt', 'optimization.resume_anneal'):
            values.ignore(key, 'is_anneal is off')
    return values


def _of_each(keys, masks):
    return {f'mask.{i}.{k}': v for i in range(masks) for k, v in keys.items()}


def _schedules(values):
    epochs, stretch = values['optimization.epochs'], values['optimization.ipe_scale']
    if stretch < 1:
        raise UsageError(
            f'optimization.ipe_scale is {stretch}, expected at least 1: curves would '
            'turn round before the training ends'
        )
    anneal = values['optimization.is_anneal']
    rate = straight_line if anneal else warmup_and_cosine
    final_decay = values['optimization.final_weight_decay']
    return [
        *rate(values, epochs, stretch),
        *cosine_of_decay(values, stretch, final_decay),
    ]


def _resume(values):
    """Resume from the given file, or from the latest checkpoint if there is one."""
    if values['optimization.is_anneal']:
        return dict(resume=False, load_from=values['optimization.anneal_ckpt'])
    if not values['meta.load_checkpoint']:
        return dict(resume=False)
    name = values['meta.read_checkpoint']
    folder = values['logging.folder']
    return dict(resume=True, load_from=name and osp.join(folder, name))


def _checkpoints(every):
    """Keep only the latest epoch's checkpoint, or one every ``every`` epochs."""
    if every > 0:
        return dict(interval=every, max_keep_ckpts=-1, save_best=None)
    return dict(interval=1, max_keep_ckpts=1, save_best=None)


def _jepa(values):
    name = values['model.model_name']
    backbone = make_backbone(
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
        heads = values['model.pred_num_heads'] or VITS[name][2]
        if values['model.pred_embed_dim'] % heads:
            raise UsageError(
                f'model.pred_embed_dim is {values["model.pred_embed_dim"]}, which the '
                f'{heads} heads of the predictor (model.pred_num_heads) do not divide'
            )
        predictor.update(type='JEPATransformerPredictor', num_heads=heads)
    else:  # VideoMamba's layers
        values.ignore('model.pred_num_heads', 'state-space layers have no heads')
        mixer = dict(residual=False, masked=False)
        predictor.update(type='JEPAMambaPredictor', mixer_cfg=mixer)
    if values['model.use_activation_checkpointing']:
        backbone['with_cp'] = predictor['with_cp'] = True
    return dict(
        type='VideoJEPA',
        backbone=backbone,
        predictor=predictor,
        masks=_masks(values),
        ema=_moving_average(values),
        loss_exponent=float(values['loss.loss_exp']),
        var_coeff=float(values['loss.reg_coeff']),
        data_preprocessor=preprocessor(values['data_aug.reprob']),
    )


def _masks(values):
    masks = {}
    for key in values.known:
        section, _, rest = key.partition('.')
        if section == 'mask':
            number, name = rest.split('.')
            value = values[key]
            value = tuple(value) if isinstance(value, list) else value
            masks.setdefault(number, {})[name] = value
    configs = [_mask(**mask) for mask in masks.values()]
    for i, config in enumerate(configs):
        try:
            check = dict(config)
            MASKS[check.pop('type')](**check)
        except ValueError as error:
            raise UsageError(f'mask.{i}: {error}') from error
    return configs


def _mask(
    full_complement=False, pred_full_complement=False, inv_block=False, **arguments
):
    if 'ratio' in arguments:
        return dict(type='RandomTubeMask', **arguments)
    equalise = 'full_complement' if full_complement else 'truncate'
    return dict(type='MultiBlock3DMask', **arguments, equalise=equalise)


def _moving_average(values):
    """MMEngine's momentum is 1 minus V-JEPA's."""
    start, end = values['optimization.ema']
    if not 0 < start < 1 or not 0 < end <= 1:
        raise UsageError(
            f'optimization.ema is {values["optimization.ema"]}, expected numbers above '
            '0 and at most 1, the first below 1'
        )
    first, last = (round(1 - m, 12) for m in values['optimization.ema'])
    config = dict(
        type='LinearEMA',
        momentum=first,
        interval=values['optimization.accumulation_steps'],
    )
    if first != last:
        config.update(end_momentum=last, stretch=values['optimization.ipe_scale'])
    return config


def _pretraining_data(values, clips):
    datasets = [
        dict(type='VideoClsDataset', ann_file=path, delimiter=' ')
        for path in values['data.datasets']
    ]
    for dataset in datasets:
        if dataset['ann_file'].endswith('.npy'):
            raise UsageError(
                f'data.datasets: {dataset["ann_file"]} is not a text: write its paths '
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
        **workers(values['data.num_workers'], values['data.persistent_workers']),
        drop_last=True,
        sampler=sampler,
        dataset=dataset,
    )


def _pretraining_pipeline(values):
    size = values['data.crop_size']
    sample = dict(
        type='SampleVJEPA',
        clip_len=values['data.num_frames'],
        frame_interval=values['data.sampling_rate'],
        num_clips=values['data.num_clips'],
        clip_duration=values['data.clip_duration'],
    )
    if values['data.fps']:
        sample['fps'] = values['data.fps']
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
        *pack(),
    ]


def _floats(pair):
    return tuple(map(float, pair))


def _pretraining_optimizer(values):
    precision = values.choose(
        'meta.dtype',
        {
            'float32': dict(type='GuardedOptimWrapper'),
            'bfloat16': dict(type='GuardedAmpOptimWrapper', **bfloat16()),
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
            ),
        ),
    )
    if values['optimization.clip_grad'] is not None:
        # V-JEPA starts clipping in the second epoch after the warm-up
        warm = (values['optimization.warmup'] + 1) * values['optimization.ipe']
        config['clip_grad'] = dict(max_norm=float(values['optimization.clip_grad']))
        config['clip_begin'] = round(warm)
    return config
