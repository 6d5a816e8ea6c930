"""Which classes are predicted as which, in numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..datasets.rows import is_file_name
from .results import ResultError


class Pair(NamedTuple):
    """Two classes of which samples of one are predicted as the other.

    Attributes:
        label (int): The true class.
        predicted (int): The predicted class.
        samples (int): Number of these samples.
        share (float): Their share of all samples of the true class.
        reverse (int): Number of samples with the two classes exchanged.
    """

    label: int
    predicted: int
    samples: int
    share: float
    reverse: int


def labels_and_predictions(results: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class of each sample.

    Args:
        results (list[dict]): As returned by :func:`.results.load_results`.

    Returns:
        tuple[np.ndarray, np.ndarray]: (samples,) each; the label of a broken sample is
        -1.

    Raises:
        ResultError: If samples have several labels, or all samples are broken.
    """
    if any(len(r['gt_label']) != 1 for r in results):
        raise ResultError(
            'the predictions are of several labels, or none, per sample: such classes '
            'are not exclusive, so none of them is confused with another'
        )
    labels = np.array([int(r['gt_label']) for r in results])
    predicted = np.array([int(r['pred_label']) for r in results])
    if (labels < 0).all():
        raise ResultError('all samples are broken: none has a label')
    return labels, predicted


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """Count the samples of each true class (row) by predicted class (column).

    Args:
        labels (np.ndarray): (samples,), -1 for broken ones, which are left out.
        predicted (np.ndarray): (samples,).
        classes (int): Number of classes.

    Returns:
        np.ndarray: (classes, classes), integers.
    """
    known = labels >= 0
    cells = labels[known] * classes + predicted[known]
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def class_accuracies(matrix: np.ndarray) -> np.ndarray:
    """Share of each class's samples that is predicted right, NaN without samples."""
    return _ratio(matrix.diagonal(), matrix.sum(1))


def precisions(matrix: np.ndarray) -> np.ndarray:
    """Share of the predictions of each class that is right, NaN without any."""
    return _ratio(matrix.diagonal(), matrix.sum(0))


def confused_pairs(matrix: np.ndarray) -> list[Pair]:
    """All pairs of classes with mistakes, those with the most mistakes first.

    Among equals, those with the larger share of the true class come first.
    """
    wrong, samples = _mistakes(matrix), matrix.sum(1)
    labels, predicted = wrong.nonzero()
    counts = wrong[labels, predicted]
    shares = counts / samples[labels]
    reverse = wrong[predicted, labels]
    order = np.lexsort((-shares, -counts))
    columns = (x[order].tolist() for x in (labels, predicted, counts, shares, reverse))
    return [Pair(*values) for values in zip(*columns)]


def confused_block(matrix: np.ndarray, size: int) -> list[int]:
    """The classes that are most often confused with each other, similar ones together.

    Args:
        matrix (np.ndarray): (classes, classes), from :func:`confusion_matrix`.
        size (int): Most classes to choose. If there are no more, all are chosen, even
            those that are never confused.

    Returns:
        list[int]: Classes of the pairs with the most mistakes, in an order that puts
        classes side by side that are confused with each other.
    """
    both = _mistakes(matrix)
    both = both + both.T
    chosen = list(range(len(matrix)))
    if len(matrix) > size:
        rows, columns = np.triu(both).nonzero()
        order = np.argsort(-both[rows, columns], kind='stable')
        found: dict[int, None] = {}
        for pair in zip(rows[order].tolist(), columns[order].tolist()):
            more = dict.fromkeys(pair)
            if len(found | more) <= size:
                found |= more
        chosen = sorted(found)
    return [chosen[i] for i in _similar_together(both[np.ix_(chosen, chosen)])]


def certain_mistakes(results: list[dict]) -> list[int]:
    """Samples with a wrong prediction, those with the highest score first."""
    labels, predicted = labels_and_predictions(results)
    wrong = ((labels >= 0) & (labels != predicted)).nonzero()[0].tolist()
    return sorted(wrong, key=lambda i: -float(results[i]['pred_score'][predicted[i]]))


def file_of(result: dict) -> str | None:
    """The file that a prediction names, if it names one."""
    file = result.get('file')
    return file if isinstance(file, str) and is_file_name(file) else None


def _mistakes(matrix):
    return matrix - np.diag(matrix.diagonal())


def _ratio(part, whole):
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _similar_together(similarity):
    """Order of average-linkage clustering: the two most similar groups are joined."""
    groups = [[i] for i in range(len(similarity))]
    while len(groups) > 1:
        i, j = max(
            ((i, j) for j in range(len(groups)) for i in range(j)),
            key=lambda pair: similarity[np.ix_(*(groups[k] for k in pair))].mean(),
        )
        groups[i] += groups.pop(j)
    return groups[0] if groups else []
