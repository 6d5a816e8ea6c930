"""Translates V-JEPA's pre-trainings into MMEngine configs."""

from __future__ import annotations

import os.path as osp

from ...errors import UsageError
from ...models.selfsup.masks import MultiBlock3DMask, RandomTubeMask
from . import keys
from .keys import Values, find, of_each
from .parts import (
    VITS,
    batches_per_update,
    cosine_of_decay,
    edit_backbone,
    edit_loader,
    edit_wrapper,
    note_rope,
    straight_line,
    warmup_and_cosine,
)
from .recipes import recipe

DATA = 'datasets/vjepa'
COOL_DOWN_IGNORES = {
    'meta.load_checkpoint': 'a cool-down starts from anneal_ckpt',
    'meta.read_checkpoint': 'a cool-down starts from anneal_ckpt',
    'optimization.resume_anneal': 'tools/train.py --resume goes on with a run',
    'optimization.start_lr': 'a cool-down has no warm-up',
    'optimization.warmup': 'a cool-down has no warm-up',
}


def pretraining(experiment):
    """The values of an experiment, its config, and recipes that it can inherit."""
    if experiment.get('app') != 'vjepa':
        raise UsageError(
            f'app is {experiment.get("app")!r}, expected vjepa: others, as training '
            'with the actions of a robot, have no counterpart here'
        )
    second = find(experiment, 'data.dataset_fpcs') is not None
    if second:
        values = _second_version(experiment)
        frames = values['data.dataset_fpcs'][0]
    else:
        # V-JEPA treats every other type as tubes
        blocks = find(experiment, 'data.mask_type') in (None, 'multiblock3d')
        masks = of_each(experiment, 'mask', keys.MULTI_BLOCK if blocks else keys.TUBE)
        values = Values(experiment, keys.PRETRAINING | masks)
        frames = values['data.num_frames']
    note_rope(values, 'model')
    clips = values['data.batch_size'] * batches_per_update(values)
    name = f'schedules/vjepa{"2" if second else ""}'
    name += '_cooldown' if values['optimization.is_anneal'] else ''
    config = recipe(name)
    _edit_model(config.model, values, frames)
    _edit_optimizer(config, values)
    config.train_cfg.max_epochs = values['optimization.epochs']
    config.param_scheduler = _schedules(values)
    every = values['meta.save_every_freq']  # if none: the latest epoch's only
    keep = -1 if every > 0 else 1
    checkpoint = dict(interval=max(every, 1), max_keep_ckpts=keep, save_best=None)
    config.update(
        train_dataloader=_data(values, frames, clips),
        default_hooks=dict(checkpoint=checkpoint),
        auto_scale_lr=dict(enable=False, base_batch_size=clips),
        randomness=dict(seed=values['meta.seed']),
        work_dir=values['logging.folder'],
        **_resume(values),
    )
    return values, config, [name, DATA]


def _second_version(experiment):
    masks = of_each(experiment, 'mask', keys.MULTI_BLOCK_2)
    values = Values(
        experiment, keys.PRETRAINING_2 | masks, {'logging.folder': 'folder'}
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
    if not values['optimization.is_anneal']:
        for name in ('anneal_ckpt', 'resume_anneal'):
            values.ignore('is_anneal is off', f'optimization.{name}')
        return values
    if values['optimization.anneal_ckpt'] is None:
        raise UsageError('optimization.anneal_ckpt is missing: is_anneal needs it')
    for key, reason in COOL_DOWN_IGNORES.items():
        values.ignore(reason, key)
    return values


def _schedules(values):
    epochs, stretch = values['optimization.epochs'], values['optimization.ipe_scale']
    rate = straight_line if values['optimization.is_anneal'] else warmup_and_cosine
    decay = cosine_of_decay(values, stretch, values['optimization.final_weight_decay'])
    return [*rate(values, epochs, stretch), *decay]


def _resume(values):
    """Resume from the given file, or from the latest checkpoint if there is one."""
    if values['optimization.is_anneal']:
        return dict(resume=False, load_from=values['optimization.anneal_ckpt'])
    if not values['meta.load_checkpoint']:
        return dict(resume=False)
    name = values['meta.read_checkpoint']
    path = name and osp.join(values['logging.folder'], name)
    return dict(resume=True, load_from=path)


def _edit_model(model, values, frames):
    name, width = values['model.model_name'], values['model.pred_embed_dim']
    edit_backbone(
        model,
        name,
        img_size=values['data.crop_size'],
        patch_size=values['data.patch_size'],
        tubelet_size=values['data.tubelet_size'],
        num_frames=frames,
    )
    if name in VITS:
        heads = values['model.pred_num_heads'] or VITS[name]['num_heads']
        if width % heads:
            raise UsageError(
                f'model.pred_embed_dim is {width}, which the {heads} heads of the '
                'predictor (model.pred_num_heads) do not divide'
            )
        model.predictor.update(type='JEPATransformerPredictor', num_heads=heads)
    else:  # VideoMamba's layers
        values.ignore('state-space layers have no heads', 'model.pred_num_heads')
        model.predictor.mixer_cfg = dict(residual=False, masked=False)
    model.predictor.update(embed_dims=width, depth=values['model.pred_depth'])
    if values['model.use_activation_checkpointing']:
        model.backbone.with_cp = model.predictor.with_cp = True
    if values['data_aug.reprob']:
        model.data_preprocessor.blending = dict(
            type='ClipRandomErasing', erase_prob=values['data_aug.reprob']
        )
    model.update(
        masks=_masks(values),
        loss_exponent=float(values['loss.loss_exp']),
        var_coeff=float(values['loss.reg_coeff']),
    )
    _edit_average(model.ema, values)


def _masks(values):
    configs = []
    for i, mask in enumerate(values.each('mask')):
        kind = RandomTubeMask if 'ratio' in mask else MultiBlock3DMask
        whole = mask.pop('full_complement', False)
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in mask.items()}
        if 'ratio' not in mask:
            config['equalise'] = 'full_complement' if whole else 'truncate'
        for refused in ('pred_full_complement', 'inv_block'):
            config.pop(refused, None)
        try:
            kind(**config)
        except ValueError as error:
            raise UsageError(f'mask.{i}: {error}') from error
        configs.append(dict(type=kind.__name__, **config))
    return configs


def _edit_average(ema, values):
    """MMEngine's momentum is 1 minus V-JEPA's."""
    start, end = values['optimization.ema']
    ema.update(
        momentum=round(1 - start, 12),
        end_momentum=round(1 - end, 12),
        stretch=values['optimization.ipe_scale'],
        interval=values['optimization.accumulation_steps'],
    )
    if start == end:
        del ema.end_momentum, ema.stretch


def _data(values, frames, clips):
    loader = recipe(DATA).train_dataloader
    sample = dict(clip_len=frames, frame_interval=values['data.sampling_rate'])
    for name, default in dict(num_clips=1, clip_duration=None, fps=None).items():
        if values[f'data.{name}'] != default:
            sample[name] = values[f'data.{name}']
    edit_loader(
        loader,
        values['data.crop_size'],
        values['data.batch_size'],
        values['data.num_workers'],
        values['data.persistent_workers'],
        SampleVJEPA=sample,
        RandomResizedCrop=dict(
            # MMAction2 insists on floats
            area_range=tuple(map(float, values['data_aug.random_resize_scale'])),
            aspect_ratio_range=tuple(
                map(float, values['data_aug.random_resize_aspect_ratio'])
            ),
        ),
    )
    if values['data_aug.auto_augment']:
        probe = recipe('datasets/kinetics400_16x8x3').train_pipeline
        augment = [t for t in probe if t.type == 'ClipRandAugment']
        decoded = [t.type for t in loader.dataset.pipeline].index('VideoDecode') + 1
        loader.dataset.pipeline[decoded:decoded] = augment
    loader.sampler.num_samples = clips * values['optimization.ipe']
    common = dict(
        type='VideoClsDataset', delimiter=' ', pipeline=loader.dataset.pipeline
    )
    datasets = [dict(**common, ann_file=path) for path in values['data.datasets']]
    for path in values['data.datasets']:
        if path.endswith('.npy'):
            raise UsageError(
                f'data.datasets: {path} is not a text file: write its paths into a '
                'list of "path label" lines'
            )
    weights = values['data.datasets_weights']
    if weights is not None and len(weights) != len(datasets):
        raise UsageError(
            f'data.datasets_weights has {len(weights)} numbers for '
            f'{len(datasets)} datasets'
        )
    if len(datasets) == 1:
        (loader.dataset,) = datasets
    else:
        loader.dataset = dict(type='ConcatDataset', datasets=datasets)
        if weights is not None:
            loader.sampler.update(weights=weights, groups='dataset')
    return loader


def _edit_optimizer(config, values):
    wrapper = config.optim_wrapper
    edit_wrapper(wrapper, values['meta.dtype'])
    wrapper.accumulative_counts = values['optimization.accumulation_steps']
    wrapper.optimizer.update(
        lr=values['optimization.lr'],
        betas=tuple(values['optimization.betas']),
        eps=values['optimization.eps'],
        weight_decay=values['optimization.weight_decay'],
    )
    # V-JEPA starts clipping in the second epoch after the warm-up
    config.warmup_epochs = values['optimization.warmup']
    config.updates_per_epoch = values['optimization.ipe']
    begin = round((config.warmup_epochs + 1) * config.updates_per_epoch)
    clip = values['optimization.clip_grad']
    if clip is None:
        wrapper.update(clip_grad=None, clip_begin=0)
    else:
        wrapper.update(clip_grad=dict(max_norm=float(clip)), clip_begin=begin)
