"""What a config says about its row in the zoo: everything but the results."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from mmengine.config import Config

from ..configs import dicts_in
from ..errors import UsageError
from .flops import complexity

FACTS = (
    'Architecture', 'Pretrained', 'Training Data', 'Epochs', 'Batch Size', 'Frame',
    'Sampling method', 'Resolution', 'Testing protocol', 'Parameters', 'FLOPs',
    'Projection FLOPs',
)  # fmt: skip
CROPS = {'ThreeCrop': 3, 'TenCrop': 10}
DENSE_SAMPLERS = 'SampleFrames', 'DenseSampleFrames', 'SampleDense', 'SampleVJEPA'
SIZES = {'tiny': 'Ti', 'small': 'S', 'middle': 'M', 'base': 'B', 'large': 'L'}
VIT_SIZES = {192: 'Ti', 384: 'S', 768: 'B', 1024: 'L', 1280: 'H'}
DATASETS = {  # in names of configs and published checkpoints
    'in1k': 'ImageNet-1K',
    'imagenet1k': 'ImageNet-1K',
    'k400': 'Kinetics-400',
    'k600': 'Kinetics-600',
    'k700': 'Kinetics-700',
    'k710': 'Kinetics-710',
    'kinetics400': 'Kinetics-400',
    'kinetics600': 'Kinetics-600',
    'kinetics700': 'Kinetics-700',
    'kinetics710': 'Kinetics-710',
    'ssv2': 'SthV2',
    'sthv2': 'SthV2',
    'breakfast': 'Breakfast',
    'coin': 'COIN',
    'hmdb51': 'HMDB51',
    'ucf101': 'UCF101',
}


@dataclass(frozen=True)
class Views:
    """What a test pipeline makes from a video.

    Attributes:
        clips (int): Number of clips, or of segments where a clip is one image.
        crops (int): Crops per clip.
        frames (int): Frames that the model sees at once.
        shape (tuple[int]): Shape of one crop's inputs: (1, 3, T, H, W), or
            (segments, 3, H, W); where a head attends to several clips together,
            (clips, 3, T, H, W).
    """

    clips: int
    crops: int
    frames: int
    shape: tuple[int, ...]


def facts(path: str | PathLike, cfg: Config) -> dict:
    """What can be said about a config without training or testing its model.

    Args:
        path (str | PathLike): Its file, named by MMAction2's rule,
            ``..._DATASET-rgb.py``.
        cfg (Config): Its content, a recognizer config.

    Returns:
        dict: Those of the keys :data:`FACTS` of a metafile's ``Metadata`` that apply.
        ``FLOPs`` are multiply-adds per view, as in the other zoos of OpenMMLab; for
        the difference see :class:`Complexity`.

    Raises:
        UsageError: If the model cannot be built, or the test pipeline does not show
            the shape of a view.
    """
    views = views_of(cfg)
    try:
        cost = complexity(cfg, views.shape)
    except Exception as error:  # a model can fail in any way
        raise UsageError(f'the model cannot be built and run: {error}') from error
    dataset = Path(path).stem.split('_')[-1].removesuffix('-rgb')
    found = (
        _architecture(cfg.model.backbone),
        _pretraining(initial_checkpoint(cfg)),
        DATASETS.get(dataset, dataset.replace('lvu-', 'LVU ')),
        (cfg.get('train_cfg') or {}).get('max_epochs'),
        (cfg.get('train_dataloader') or {}).get('batch_size'),
        views.frames,
        _sampling(cfg),
        f'{views.shape[-2]}x{views.shape[-1]}',
        f'{_number(views.clips, "clip")} x {_number(views.crops, "crop")}',
        cost.parameters,
        cost.macs,
        cost.projection_macs,
    )
    return {key: value for key, value in zip(FACTS, found) if value is not None}


def is_recipe(cfg: Config) -> bool:
    """Whether the config can have a row: it has a classifier that is tested."""
    model, loader = cfg.get('model'), cfg.get('test_dataloader')
    if not isinstance(model, dict) or not isinstance(loader, dict):
        return False
    return {'backbone', 'cls_head'} <= set(model) and 'dataset' in loader


def views_of(cfg: Config) -> Views:
    """Read the test pipeline of a config.

    Args:
        cfg (Config): With a ``test_dataloader``.

    Returns:
        Views: What it makes.

    Raises:
        UsageError: If it does not show their shape.
    """
    transforms = _transforms(cfg, 'test')
    sampler, crop, layout = (
        _last(transforms, key) for key in ('clip_len', 'crop_size', 'input_format')
    )
    layout = layout.get('input_format')
    if not sampler or not crop or layout not in ('NCTHW', 'NCHW'):
        raise UsageError(
            'the test pipeline does not show the shape of a view: it needs a sampler '
            'with clip_len, a crop with crop_size and a FormatShape to NCTHW or NCHW'
        )
    frames, clips = sampler['clip_len'], sampler.get('num_clips', 1)
    clips *= 2 if sampler.get('twice_sample') else 1
    size = crop['crop_size']  # (width, height) if there are two
    width, height = (size, size) if isinstance(size, int) else size
    together = cfg.model.get('cls_head', {}).get('num_clips', 1)
    shape = (together, 3, frames, height, width)
    if layout == 'NCHW':
        frames *= clips
        shape = (frames, 3, height, width)
    return Views(clips, CROPS.get(type_name(crop), 1), frames, shape)


def initial_checkpoint(cfg: Config) -> str | None:
    """Name of the checkpoint that training starts from, if any."""
    init_cfg = cfg.model.backbone.get('init_cfg')
    entries = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg or {}]
    found = [cfg.get('load_from'), *(x.get('checkpoint') for x in entries)]
    path = next((Path(path) for path in found if path), None)
    if path is None:
        return None
    # MMEngine's file names say nothing, work directories do
    own = path.stem.startswith(('epoch_', 'iter_', 'best_'))
    return path.parent.name if own else path.stem


def type_name(config: dict) -> str:
    """``type`` of a config as a name; the config may hold a class."""
    return getattr(config['type'], '__name__', config['type'])


def _architecture(backbone):
    kind, arch = type_name(backbone), backbone.get('arch')
    if isinstance(arch, str):
        return f'{kind}-{SIZES.get(arch, arch)}'
    if kind == 'VisionTransformer':
        return f'ViT-{VIT_SIZES.get(backbone.get("embed_dims", 768), "?")}'
    return f'{kind}{backbone.get("depth", "")}'


def _pretraining(checkpoint):
    """Data and method (if not supervised) inferred from the name; else the name."""
    if checkpoint is None:
        return None
    known = [DATASETS[x] for x in re.split('[_-]', checkpoint) if x in DATASETS]
    how = dict(mask_pt=', masked', vjepa=', V-JEPA')
    how = next((text for name, text in how.items() if name in checkpoint), '')
    return known[0] + how if known else checkpoint


def _sampling(cfg):
    """In OpenMMLab's notation: frames x interval x clips of training, or uniform."""
    train, test = (
        _last(_transforms(cfg, split), 'clip_len') for split in ('train', 'test')
    )
    sampler = train or test
    frames, interval = sampler['clip_len'], sampler.get('frame_interval', 1)
    if type_name(sampler) not in DENSE_SAMPLERS:
        return f'uniform {frames}'
    return f'{frames}x{interval}x{train.get("num_clips", 1) if train else 1}'


def _number(count, what):
    return f'{count} {what}' if count == 1 else f'{count} {what}s'


def _transforms(cfg, split):
    """The first pipeline of a split's datasets, which may be wrapped."""
    key = f'{split}_dataloader'
    found = (node.get('pipeline') for _, node in dicts_in(cfg.get(key), key))
    return next(filter(None, found), [])


def _last(transforms, key):
    """The last transform that has this argument, or {}."""
    return next((t for t in reversed(transforms) if key in t), {})
