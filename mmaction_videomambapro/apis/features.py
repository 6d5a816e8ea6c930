"""Runs a frozen backbone over a list once, for probes that are trained many times."""

from __future__ import annotations

import hashlib
import json
import os
import os.path as osp
from typing import Any

import numpy as np
import torch
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from mmengine.utils import ProgressBar
from torch import nn
from torch.utils.data import DataLoader

from ..checkpoints.loading import loading
from ..checkpoints.state_dicts import check_values, state_dict_in
from ..datasets.feature_cache import INDEX, FeatureCache, FeatureCacheError
from ..datasets.sample_files import file_of_info
from ..datasets.samplers import SeededIndex
from ..engine.process import hold
from ..errors import UsageError

PREFIXES = 'target.module.', 'backbone.'


def extract_features(
    cfg: Config,
    checkpoint: str,
    folder: str,
    split: str = 'val',
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
) -> FeatureCache:
    """Write the tokens that a recognizer's backbone computes for a list.

    A folder that already has some of them gets the rest. The random numbers of a sample
    depend only on the seed and the sample's index. Blending, which includes random
    erasing, is left out.

    Args:
        cfg (Config): Config of a recognizer.
        checkpoint (str): File or URL of a checkpoint of a recognizer, or of a
            ``VideoJEPA``, whose target encoder is used.
        folder (str): Output folder.
        split (str): Which data loader's list, pipeline and batch size to use.
            Defaults to 'val'.
        seed (int): Seed for random augmentation. Defaults to 0.
        dtype (torch.dtype): Data type of the written tokens. Defaults to float16.

    Returns:
        FeatureCache: The whole cache.

    Raises:
        UsageError: If the config has no such list, or the checkpoint does not fit.
        FeatureCacheError: If the folder contains something else, or features from other
            weights, another pipeline and so on.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise UsageError(f'the config has no {split}_dataloader')
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(_without_init_cfg(cfg.model))
        load_backbone(model.backbone, checkpoint)
        dataset = DATASETS.build(loader.dataset)
        dataset.full_init()
    dataset.on_error = 'raise'  # another sample would replace it
    preprocessor = dict(cfg.model.get('data_preprocessor') or {})
    preprocessor.pop('blending', None)
    origin = dict(
        weights=_digest_of_state(model.backbone),
        backbone=_digest([_without_init_cfg(cfg.model).backbone]),
        preprocessing=_digest([preprocessor, loader.dataset.pipeline]),
        samples=_digest(dataset.get_data_info(i) for i in range(len(dataset))),
        files=_digest(_files(dataset)),
        seed=str(seed),
        dtype=str(dtype).removeprefix('torch.'),
    )
    cache = FeatureCache.create(folder, len(dataset), origin)
    hold(osp.join(folder, INDEX), 'folder')
    todo = cache.missing()
    batches = DataLoader(
        dataset,
        batch_size=loader.batch_size,
        sampler=[SeededIndex(i, _seed(seed, i)) for i in todo],
        num_workers=loader.num_workers,
        collate_fn=pseudo_collate,
    )
    device = get_device()
    model.to(device).eval()
    progress = ProgressBar(len(todo)) if todo else None
    indices = iter(todo)
    for batch in _unbroken(batches):
        for sample, features in zip(batch['data_samples'], _encode(model, batch)):
            index, features = next(indices), features.to(dtype).cpu()
            if not features.isfinite().all():
                raise FeatureCacheError(
                    f'features of sample {index} are not finite in {origin["dtype"]}: '
                    'choose --dtype float32, or another checkpoint'
                )
            cache.save(index, features, sample.gt_label.cpu())
            progress.update()
    return cache


def _unbroken(batches):
    """Yield the batches; report a broken sample in one sentence and stop."""
    try:
        yield from batches
    except RuntimeError as error:  # preceded by the worker's traceback
        reason = str(error).strip().split('\n')[-1]
        if 'broken sample' not in reason:
            raise
        raise UsageError(
            f'{reason.removeprefix("RuntimeError: ")}; a cache needs all samples: '
            'leave it out of the list, tools/data/convert_list.py --check decode'
        ) from error


@torch.no_grad()
def _encode(model, batch):
    """Tokens of a batch of samples, (B, views, L, C)."""
    data = model.data_preprocessor(dict(batch), training=False)
    inputs = data['inputs']
    features = model.backbone(inputs.flatten(0, 1))
    if features.ndim != 3:
        raise UsageError(
            f'the backbone gives a tensor of shape {tuple(features.shape)}, not tokens '
            '(N, L, C): set model.backbone.out_type=raw'
        )
    return features.unflatten(0, inputs.shape[:2])


def load_backbone(backbone: nn.Module, checkpoint: str) -> None:
    """Load a backbone from a checkpoint of a recognizer or of pre-training.

    Args:
        backbone (nn.Module): Gets the weights.
        checkpoint (str): File or URL.

    Raises:
        UsageError: If it has no backbone, or one that does not fit.
        CheckpointError: If it contains something other than weights, or NaN.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    state = state_dict_in(content)
    for prefix in PREFIXES:
        part = {
            k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)
        }
        if part:
            break
    else:
        raise UsageError(
            f'{checkpoint} has no weights that begin with {" or ".join(PREFIXES)}'
        )
    own = backbone.state_dict()
    wrong = sorted(set(own) ^ set(part))
    wrong += [k for k in own if k in part and own[k].shape != part[k].shape]
    if wrong:
        raise UsageError(
            f'{checkpoint} does not fit the backbone of the config: {len(wrong)} '
            f'weights are missing, unknown or of another shape, the first is {wrong[0]}'
        )
    with loading(checkpoint):
        check_values(part, own)
    backbone.load_state_dict(part)


def _without_init_cfg(model):
    """The model's config, for weights from another source."""
    model = model.copy()
    model.backbone = {**model.backbone, 'init_cfg': None}
    return model


def _seed(seed, index):
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _files(dataset):
    """Size and time of every sample's file, to notice a replaced file."""
    for i in range(len(dataset)):
        try:
            status = os.stat(file_of_info(dataset.get_data_info(i)) or '')
            yield status.st_size, status.st_mtime_ns
        except OSError:  # not a local file, or broken, which is reported later
            yield None


def _digest(parts: Any) -> str:
    """SHA-256 of configs."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(json.dumps(part, sort_keys=True, default=str).encode())
    return sha.hexdigest()


def _digest_of_state(module):
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(f'{name} {tensor.dtype} {tuple(tensor.shape)} '.encode())
        sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
