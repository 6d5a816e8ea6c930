"""What V-JEPA's pre-trainings and probes have in common."""

from __future__ import annotations

from ...errors import UsageError
from .recipes import recipe

VITS = {
    name: dict(embed_dims=channels, depth=depth, num_heads=heads, mlp_ratio=ratio)
    for name, channels, depth, heads, ratio in (
        ('vit_tiny', 192, 12, 3, 4),
        ('vit_small', 384, 12, 6, 4),
        ('vit_base', 768, 12, 12, 4),
        ('vit_large', 1024, 24, 16, 4),
        ('vit_huge', 1280, 32, 16, 4),
        ('vit_giant', 1408, 40, 16, 48 / 11),
        ('vit_giant_xformers', 1408, 40, 22, 48 / 11),
    )
}
VIDEOMAMBAS = {
    **{f'videomamba_{name}': name for name in ('tiny', 'small', 'middle')},
    'videomamba_large': dict(embed_dims=768, depth=32),
}


def note_rope(values, section):
    """Note that there are no rotary positions."""
    if values[f'{section}.use_rope']:
        values.ignore(
            'positions are added to tokens, as fixed sines and cosines: checkpoints of '
            'V-JEPA 2 do not fit',
            f'{section}.use_rope',
        )


def batches_per_update(values):
    """Those of all processes, and those that are accumulated."""
    accumulate = values['optimization.accumulation_steps']
    return values['nodes'] * values['tasks_per_node'] * accumulate


def edit_backbone(model, name, **arguments):
    """Make the encoder of a recipe the one called ``name``."""
    if name in VITS:
        model.backbone = dict(type='TokenVisionTransformer', **VITS[name])
    else:
        model.backbone.update(
            type='VideoMamba',
            arch=VIDEOMAMBAS[name],
            drop_path_rate=0.0,
            weight_init='official',
        )
    model.backbone.update(arguments)


def edit_loader(loader, size, batch, workers, persistent=True, **transforms):
    """Set what is said of a data loader, and arguments of its transforms by type."""
    persistent = persistent and workers > 0
    loader.update(batch_size=batch, num_workers=workers, persistent_workers=persistent)
    for transform in loader.dataset.pipeline:
        transform.update(transforms.get(transform.type, {}))
        transform.pop('short_side', None)  # V-JEPA crops from whole frames
        if 'crop_size' in transform:
            transform.crop_size = size
        if 'scale' in transform:  # the recipe's crops have 224 pixels
            long, short = transform.scale
            transform.scale = (size if long > 0 else -1, size * short // 224)


def edit_wrapper(wrapper, dtype):
    """Set the precision of an optimizer wrapper of a recipe, which is bfloat16."""
    if dtype == 'float16':
        wrapper.update(dtype=dtype, loss_scale='dynamic')
    elif dtype == 'float32':
        wrapper.type = wrapper.type.replace('Amp', '')
        del wrapper.dtype, wrapper.loss_scale


def warmup_and_cosine(values, epochs, stretch):
    """The learning rate; its cosine ends after ``stretch`` times the epochs."""
    linear, cosine, _ = recipe('schedules/vjepa').param_scheduler
    warmup = _whole(values['optimization.warmup'])
    start, lr = values['optimization.start_lr'], values['optimization.lr']
    schedulers = []
    if warmup:
        if not 0 < start <= lr:
            raise UsageError(
                f'optimization.start_lr is {start}, expected above 0 and at most '
                f'lr={lr}'
            )
        schedulers.append({**linear, 'start_factor': start / lr, 'end': warmup})
    if warmup < epochs:
        curve = dict(stretch=stretch, begin=warmup)
        final = float(values['optimization.final_lr'])
        schedulers.append({**cosine, **curve, 'eta_min': final})
    else:
        reason = f'{epochs} epochs end before the warm-up does'
        values.ignore(reason, 'optimization.final_lr')
    return schedulers


def straight_line(values, epochs, stretch):
    """The rate of a cool-down; its line ends after ``stretch`` times the epochs."""
    (line,) = recipe('schedules/vjepa2_cooldown').param_scheduler
    lr, final = values['optimization.lr'], values['optimization.final_lr']
    if not 0 <= final <= lr or not lr:
        raise UsageError(
            f'optimization.final_lr is {final}, expected from 0 to lr={lr}, which has '
            'to be above 0'
        )
    return [{**line, 'end_factor': final / lr, 'end': _whole(stretch * epochs)}]


def cosine_of_decay(values, stretch, final):
    """The weight decay, to ``final`` after ``stretch`` times the epochs."""
    *_, cosine = recipe('schedules/vjepa').param_scheduler
    decay = values['optimization.weight_decay']
    if final == decay:
        return []
    if not decay:
        raise UsageError(
            f'optimization.weight_decay is 0, which cannot become {final}: what is not '
            'decayed could not be told from the rest'
        )
    return [{**cosine, 'stretch': stretch, 'eta_min_ratio': final / decay}]


def _whole(number):
    return int(number) if number == int(number) else number
