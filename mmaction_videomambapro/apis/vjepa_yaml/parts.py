"""What V-JEPA's pre-trainings and probes have in common."""

from __future__ import annotations

from ...errors import UsageError

# channels, layers, heads, ratio of a layer's hidden channels to channels
VITS = {
    'vit_tiny': (192, 12, 3, 4),
    'vit_small': (384, 12, 6, 4),
    'vit_base': (768, 12, 12, 4),
    'vit_large': (1024, 24, 16, 4),
    'vit_huge': (1280, 32, 16, 4),
    'vit_giant': (1408, 40, 16, 48 / 11),
    'vit_giant_xformers': (1408, 40, 22, 48 / 11),
}
VIDEOMAMBAS = {  # channels, layers
    'videomamba_tiny': (192, 24),
    'videomamba_small': (384, 24),
    'videomamba_middle': (576, 32),
    'videomamba_large': (768, 32),
}
POLICY = 'rand-m7-n4-mstd0.5-inc1'


def refuse_common(values, section):
    """Refuse what neither supports; ``section`` is where the network is described."""
    values.refuse(
        f'{section}.uniform_power',
        False,
        'positions have an equal share of channels for each axis',
    )
    if values[f'{section}.use_rope']:
        values.ignore(
            f'{section}.use_rope',
            'positions are added to tokens, as fixed sines and cosines: checkpoints of '
            'V-JEPA 2 do not fit',
        )
    if values.name('data.dataset_type') in values.known:
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


def preprocessor(erase_prob, normalization=None):
    """Normalisation, by ImageNet's figures unless others are given, then erasing."""
    mean, std = normalization or ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    config = dict(
        type='ActionDataPreprocessor',
        mean=[round(255 * x, 3) for x in mean],
        std=[round(255 * x, 3) for x in std],
        format_shape='NCTHW',
    )
    if erase_prob:
        config['blending'] = dict(type='ClipRandomErasing', erase_prob=erase_prob)
    return config


_EPOCHS = dict(by_epoch=True, convert_to_iter_based=True)


def warmup_and_cosine(values, epochs, stretch):
    """The learning rate; its cosine ends after ``stretch`` times the epochs."""
    warmup = _whole(values['optimization.warmup'])
    start, lr = values['optimization.start_lr'], values['optimization.lr']
    schedulers = []
    if warmup:
        if not 0 < start <= lr:
            raise UsageError(
                f'optimization.start_lr is {start}, expected above 0 and at most '
                f'lr={lr}'
            )
        schedulers.append(
            dict(type='LinearLR', start_factor=start / lr, end=warmup, **_EPOCHS)
        )
    if warmup < epochs:
        schedulers.append(
            dict(
                type='StretchedCosineLR',
                stretch=stretch,
                begin=warmup,
                eta_min=float(values['optimization.final_lr']),
                **_EPOCHS,
            )
        )
    else:
        values.ignore(
            'optimization.final_lr', f'{epochs} epochs end before the warm-up does'
        )
    return schedulers


def straight_line(values, epochs, stretch):
    """The rate of a cool-down; its line ends after ``stretch`` times the epochs."""
    lr, final = values['optimization.lr'], values['optimization.final_lr']
    if not 0 <= final <= lr or not lr:
        raise UsageError(
            f'optimization.final_lr is {final}, expected from 0 to lr={lr}, which has '
            'to be above 0'
        )
    line = dict(type='LinearLR', start_factor=1.0, end_factor=final / lr)
    return [dict(**line, end=_whole(stretch * epochs), **_EPOCHS)]


def cosine_of_decay(values, stretch, final):
    """The weight decay, to ``final`` after ``stretch`` times the epochs."""
    decay = values['optimization.weight_decay']
    if final == decay:
        return []
    if not decay:
        raise UsageError(
            f'optimization.weight_decay is 0, which cannot become {final}: what is not '
            'decayed could not be told from the rest'
        )
    return [
        dict(
            type='StretchedCosineParamScheduler',
            param_name='weight_decay',
            stretch=stretch,
            # a ratio keeps parameters without decay at 0
            eta_min_ratio=final / decay,
            **_EPOCHS,
        )
    ]


def _whole(number):
    return int(number) if number == int(number) else number


def workers(number, persistent=True):
    """The worker processes of a data loader."""
    return dict(num_workers=number, persistent_workers=persistent and number > 0)


def pack():
    """The end of each pipeline."""
    return (
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    )


def bfloat16():
    """Arguments of an optimizer wrapper; bfloat16 gradients need no scaling."""
    return dict(dtype='bfloat16', loss_scale=dict(enabled=False))
