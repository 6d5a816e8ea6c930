"""Reads the predictions that tools/test.py dumps, whoever made the file."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..safe_load import read_legacy
from ..safe_pickle import BUILDERS, Budget, Builder, Parser, Refused, Storage

INTEGERS, REALS = ('i', 'u'), ('i', 'u', 'f')  # kinds of NumPy's types


class ResultError(UsageError, ValueError):
    """A file that cannot be used as dumped predictions."""


def load_results(path: str | PathLike) -> list[dict]:
    """Load a ``result.pkl``.

    Args:
        path (str | PathLike): A file written by ``tools/test.py --dump``.

    Returns:
        list[dict]: One dict per sample, in the order of the annotation file. It has the
        tensors ``pred_score`` (classes,), finite and with the same number of classes in
        all samples, ``pred_label`` (1,) and ``gt_label`` (1,), or (L,) with several
        labels: classes, or -1 for a broken sample.

    Raises:
        ResultError: If the file is missing, is something else, or refers to types
            that no result contains.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ResultError(f'{path} does not exist') from None
    except (OSError, ValueError) as error:
        raise ResultError(f'{path} cannot be read ({error})') from error
    try:
        results = _unpickle(data)
    except Refused as error:
        raise ResultError(
            f'{path} was refused: it {error}. Only files of tools/test.py --dump '
            'can be read.'
        ) from error
    except MemoryError as error:
        raise ResultError(f'{path} cannot be read: not enough memory') from error
    keys = {'pred_score', 'pred_label', 'gt_label'}
    if (
        not isinstance(results, list)
        or not results
        or not all(isinstance(r, dict) and keys <= set(r) for r in results)
    ):
        raise ResultError(
            f'{path} is not a list of predictions with {", ".join(sorted(keys))}'
        )
    checked, classes = [], None
    for i, result in enumerate(results):
        try:
            checked.append(_checked(result, classes))
        except ValueError as error:
            raise ResultError(f'{path}: sample {i}: {error}') from error
        classes = len(checked[0]['pred_score'])
    return checked


def _unpickle(data: bytes) -> Any:
    budget = Budget(len(data))
    builders = {**BUILDERS, 'torch.storage._load_from_bytes': _storage}
    parser = Parser(builders, budget)
    note = parser.parse(io.BytesIO(data))
    return Builder(builders, budget, parser.shared).value(note)


def _storage(builder: Builder, data: bytes):
    with builder.budget.lent():
        storage = read_legacy(io.BytesIO(data), builder.budget, build=Builder.argument)
    if not isinstance(storage, Storage):
        raise Refused('has a damaged storage')
    builder.budget.spend(storage.data.nbytes() + 200)
    return storage


def _checked(result: dict, classes: int | None) -> dict:
    """A prediction as tensors, checked for its number of classes if that is known."""
    score = _numbers(result, 'pred_score', REALS)
    if not len(score) or not score.isfinite().all():
        raise ValueError('pred_score is empty, or not all of it is finite')
    if classes not in (None, len(score)):
        raise ValueError(f'pred_score has {len(score)} classes, in sample 0 {classes}')
    predicted = _numbers(result, 'pred_label', INTEGERS)
    labels = _numbers(result, 'gt_label', INTEGERS)
    if len(predicted) != 1 or not 0 <= int(predicted) < len(score):
        raise ValueError(f'pred_label is not one of the {len(score)} classes')
    if ((labels < -1) | (labels >= len(score))).any():
        raise ValueError(f'gt_label is not one of the {len(score)} classes, or -1')
    return {**result, 'pred_score': score, 'pred_label': predicted, 'gt_label': labels}


def _numbers(result: dict, key: str, kinds: tuple[str, ...]) -> Tensor:
    """A tensor (n,) from a tensor, an array or a sequence of numbers of some kinds."""
    value = result[key]
    wanted = 'integers' if kinds is INTEGERS else 'real numbers'
    if isinstance(value, Tensor):
        kind = 'f' if value.is_floating_point() else 'i'
        if value.is_complex() or value.dtype == torch.bool:
            kind = 'other'
        tensor = value.detach()
    else:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):  # ragged, or holding tensors
            array = np.empty(0, object)
        kind = array.dtype.kind
        tensor = torch.from_numpy(array) if kind in kinds else None
    if kind not in kinds or tensor.ndim > 1:
        raise ValueError(f'{key} is not a row of {wanted}')
    if 'f' not in kinds:
        tensor = tensor.long()
    elif tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.double()
    return tensor.reshape(-1)


def top_k(results: list[dict], k: int) -> float:
    """Share of single-label samples whose label is among the k best scores.

    Broken samples have the label -1 and are never among them.
    """
    k = min(k, len(results[0]['pred_score']))
    hits = [
        int(r['gt_label']) in torch.as_tensor(r['pred_score']).topk(k)[1]
        for r in results
    ]
    return sum(hits) / len(hits)


def mean_class_accuracy(
    scores: Sequence[Tensor | np.ndarray], labels: Sequence[int]
) -> float:
    """Mean over the classes of the share of their samples predicted correctly.

    Classes without samples do not count. Broken samples are wrong, as they are in
    top-1: their classes are not known, so they count as spread evenly over all. This
    equals ``mean1`` of MMAction2's ``AccMetric``.

    Args:
        scores (Sequence[Tensor | ndarray]): Scores of each sample, (classes,).
        labels (Sequence[int]): Classes of the samples, -1 for a broken one.
    """
    hits, counts = Counter(), Counter(labels)
    for score, label in zip(scores, labels):
        hits[label] += int(score.argmax()) == label
    broken = counts.pop(-1, 0)
    if not counts:
        return 0.0
    mean = sum(hits[label] / count for label, count in counts.items()) / len(counts)
    return mean * (1 - broken / len(labels))


def accuracies(results: list[dict]) -> dict[str, float]:
    """Top-1, top-5 and mean class accuracy in percent, to two digits.

    Args:
        results (list[dict]): As returned by :func:`load_results`.

    Returns:
        dict[str, float]: By OpenMMLab's metric names.

    Raises:
        ResultError: If samples have several labels each.
    """
    if any(torch.as_tensor(r['gt_label']).numel() != 1 for r in results):
        raise ResultError('the predictions are of several labels, or none, per sample')
    scores = [r['pred_score'] for r in results]
    labels = [int(r['gt_label']) for r in results]
    found = {
        'Top 1 Accuracy': top_k(results, 1),
        'Top 5 Accuracy': top_k(results, 5),
        'Mean Class Accuracy': mean_class_accuracy(scores, labels),
    }
    return {name: round(100 * value, 2) for name, value in found.items()}
