"""Checks a row's weights, predictions and test list against its config."""

from __future__ import annotations

import hashlib
import json
import os.path as osp
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from os import PathLike

import torch
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..checkpoints.classes import classes_of
from ..checkpoints.fit import fit
from ..checkpoints.loading import loading, read
from ..errors import UsageError
from ..safe_load import CheckpointError, safe_load
from .flops import build_on_meta


@dataclass(frozen=True)
class TestSet:
    """The samples that a config is tested on.

    Attributes:
        ann_file (str): Their list.
        labels (list[int]): All their labels, in order.
        sha256 (str): Hash of their names below the ``data_prefix`` and their labels;
            it does not depend on where the videos are.
    """

    __test__ = False  # pytest would take it for a test

    ann_file: str
    labels: list[int]
    sha256: str


def read_test_set(cfg: Config) -> TestSet | None:
    """Read the list that a config is tested on, without reading videos.

    Args:
        cfg (Config): With a ``test_dataloader``.

    Returns:
        TestSet | None: None if it is not available.

    Raises:
        UsageError: If it cannot be read, or its samples do not have one label each.
    """
    config = deepcopy(cfg.test_dataloader.dataset)
    ann_file = config.get('ann_file')
    if not isinstance(ann_file, str):
        return None
    ann_file = osp.join(config.get('data_root') or '', ann_file)
    if not osp.exists(ann_file):
        return None
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    config.update(pipeline=[], test_mode=True, serialize_data=False)
    try:
        dataset = DATASETS.build(config)
        dataset.full_init()
        samples = [dataset.get_data_info(i) for i in range(len(dataset))]
        labels = [int(sample['label']) for sample in samples]
    except Exception as error:  # lists and datasets can fail in any way
        reason = ' '.join(str(error).split())
        raise UsageError(
            f'{ann_file} cannot be read as a test set: {reason}'
        ) from error
    prefixes = dict(config.get('data_prefix') or {})
    folders = [osp.join(config.get('data_root') or '', x) for x in prefixes.values()]
    digest = hashlib.sha256()
    for sample, label in zip(samples, labels):
        line = json.dumps([_name(sample, folders), label])
        digest.update(f'{line}\n'.encode())
    return TestSet(ann_file, labels, digest.hexdigest())


def _name(sample: dict, folders: list[str]) -> str:
    """Name of the file, relative to the folder that its list refers to."""
    template = sample.get('filename_tmpl', '')
    path = sample.get('filename') or osp.join(sample.get('frame_dir', ''), template)
    path = osp.abspath(path)
    for folder in folders:
        below = osp.relpath(path, osp.abspath(folder))
        if not below.startswith(osp.pardir):
            return below
    return path


def check_predictions(
    results: list[dict], cfg: Config, test_set: TestSet | None
) -> Iterator[str]:
    """Find predictions that do not come from a config's model on its test set.

    Args:
        results (list[dict]): As returned by ``load_results``.
        cfg (Config): The config that was tested.
        test_set (TestSet, optional): Its list; without it only scores are checked.
    """
    classes = cfg.model.get('cls_head', {}).get('num_classes')
    for i, result in enumerate(results):
        scores = len(result['pred_score'])
        if classes is not None and scores != classes:
            yield f'{scores} scores of sample {i}, but the model has {classes} classes'
            return
        predicted = int(torch.as_tensor(result['pred_label']).reshape(-1)[0])
        best = torch.as_tensor(result['pred_score']).max()
        if not 0 <= predicted < scores or result['pred_score'][predicted] != best:
            yield f'the label predicted for sample {i} is not that of the highest score'
            return
    if test_set is None:
        return
    if len(results) != len(test_set.labels):
        yield (
            f'{len(results)} predictions, but {len(test_set.labels)} samples in '
            f'{test_set.ann_file}'
        )
        return
    for i, (result, label) in enumerate(zip(results, test_set.labels)):
        given = int(result['gt_label'])
        if given not in (label, -1):  # a broken sample has the label -1
            yield (
                f'sample {i} has the label {given} in the predictions and {label} in '
                f'{test_set.ann_file}'
            )
            return


def check_weights(checkpoint: str | PathLike, cfg: Config) -> Iterator[str]:
    """Find what would keep a checkpoint from being tested with a config's model.

    Args:
        checkpoint (str | PathLike): A file.
        cfg (Config): The config that was tested.
    """
    try:
        model = build_on_meta(cfg)
    except Exception as error:  # a model can fail in any way
        reason = ' '.join(str(error).split())
        yield f'the model cannot be built: {reason}'
        return
    try:
        with loading(checkpoint, complete=True, here=classes_of(None, cfg)):
            fit(read(safe_load(checkpoint, map_location='cpu'), str(checkpoint)), model)
    except CheckpointError as error:
        yield str(error)
