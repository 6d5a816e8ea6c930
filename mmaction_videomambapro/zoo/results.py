"""Read the predictions that tools/test.py dumps, whoever made the file."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict, defaultdict
from os import PathLike

import numpy as np
import torch


class ResultError(ValueError):
    """A file that can not be used as dumped predictions."""


class _ResultUnpickler(pickle.Unpickler):
    """Builds tensors, arrays, numbers and containers; refuses the rest."""

    def find_class(self, module: str, name: str):
        core = np._core.multiarray
        allowed = {
            ('collections', 'OrderedDict'): OrderedDict,
            ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
            ('torch.storage', '_load_from_bytes'): _load_storage,
            ('numpy', 'ndarray'): np.ndarray,
            ('numpy', 'dtype'): np.dtype,
            ('_codecs', 'encode'): _latin1,
        }
        for function in ('_reconstruct', 'scalar'):
            for package in ('numpy.core.multiarray', 'numpy._core.multiarray'):
                allowed[package, function] = getattr(core, function)
        if (module, name) in allowed:
            return allowed[module, name]
        raise pickle.UnpicklingError(f'{module}.{name}')


def _load_storage(data: bytes):
    return torch.load(io.BytesIO(data), weights_only=True)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'_codecs.encode to {encoding}')
    return text.encode('latin1')


def load_results(path: str | PathLike) -> list[dict]:
    """Load a ``result.pkl``.

    Args:
        path (str | PathLike): A file that ``tools/test.py --dump`` wrote.

    Returns:
        list[dict]: One dict a sample, in the order of the annotation file, with
        ``pred_score`` (classes,), ``pred_label`` (1,) and ``gt_label`` (1,).

    Raises:
        ResultError: If the file is missing, is something else, or refers to types
            that no result contains.
    """
    try:
        with open(path, 'rb') as file:
            results = _ResultUnpickler(file).load()
    except FileNotFoundError:
        raise ResultError(f'{path} does not exist') from None
    except pickle.UnpicklingError as error:
        raise ResultError(
            f'{path} was refused: it is no pickle of predictions, or it holds '
            f'something else as well ({error}). Only files of tools/test.py --dump '
            'can be read.'
        ) from None
    except (EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError) as e:
        raise ResultError(f'{path} is damaged or cut short ({e})') from None
    keys = {'pred_score', 'pred_label', 'gt_label'}
    if (
        not isinstance(results, list)
        or not results
        or not all(isinstance(r, dict) and keys <= set(r) for r in results)
    ):
        raise ResultError(
            f'{path} holds no list of predictions with {", ".join(sorted(keys))}'
        )
    return results


def top_k(results: list[dict], k: int) -> float:
    """Share of single-label samples whose label is among the k best scores.

    Broken samples have the label -1, which is among none.
    """
    hits = [
        int(r['gt_label']) in torch.as_tensor(r['pred_score']).topk(_at_most(r, k))[1]
        for r in results
    ]
    return sum(hits) / len(hits)


def mean_class_accuracy(results: list[dict]) -> float:
    """Mean over the classes of the share of their samples that is predicted right.

    Classes without samples do not count. Broken samples, of label -1, are wrong: as
    their classes are not known, they count as spread evenly over all.
    """
    hits, counts = defaultdict(int), defaultdict(int)
    for r in results:
        label = int(r['gt_label'])
        counts[label] += 1
        hits[label] += int(torch.as_tensor(r['pred_score']).argmax()) == label
    broken = counts.pop(-1, 0)
    if not counts:
        return 0.0
    mean = sum(hits[label] / counts[label] for label in counts) / len(counts)
    return mean * (1 - broken / len(results))


def accuracies(results: list[dict]) -> dict[str, float]:
    """Top-1, top-5 and mean class accuracy in percent, to two digits.

    Args:
        results (list[dict]): As :func:`load_results` returns them.

    Returns:
        dict[str, float]: By OpenMMLab's names of metrics.

    Raises:
        ResultError: If samples have several labels each.
    """
    if any(torch.as_tensor(r['gt_label']).numel() != 1 for r in results):
        raise ResultError('the predictions are of several labels, or none, a sample')
    found = {
        'Top 1 Accuracy': top_k(results, 1),
        'Top 5 Accuracy': top_k(results, 5),
        'Mean Class Accuracy': mean_class_accuracy(results),
    }
    return {name: round(100 * value, 2) for name, value in found.items()}


def _at_most(result: dict, k: int) -> int:
    return min(k, len(result['pred_score']))
