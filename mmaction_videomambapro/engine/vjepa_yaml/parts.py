"""What pre-trainings and probes of V-JEPA have in common."""

from __future__ import annotations

from ..launch import UsageError

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


def refuse_common(values, section):
    """What neither knows here; ``section`` is where the network stands."""
    values.refuse(
        f'{section}.uniform_power',
        False,
        'positions have an equal share of channels for each axis',
    )
    if 'data.dataset_type' in values.known:
        values.choose('data.dataset_type', ['VideoDataset', 'videodataset'])


def make_backbone(values, name, key, **arguments):
    """The encoder called ``name``, the value of ``key``."""
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


def preprocessor(erase_prob):
    """Normalising and, behind it, erasing."""
    config = dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    )
    if erase_prob:
        config['blending'] = dict(type='ClipRandomErasing', erase_prob=erase_prob)
    return config


def schedules(values, epochs, stretch, final_decay):
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


def workers(number):
    """Processes of a data loader."""
    return dict(num_workers=number, persistent_workers=number > 0)


def pack():
    """The end of each pipeline."""
    return (
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    )


def bfloat16():
    """Arguments of an optimizer wrapper: no gradient needs to be scaled."""
    return dict(dtype='bfloat16', loss_scale=dict(enabled=False))
