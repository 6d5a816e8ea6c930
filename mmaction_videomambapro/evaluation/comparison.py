"""What changed between two results on the same samples, and whether it is chance."""

from __future__ import annotations

import os.path as osp

import numpy as np

from ..datasets.media import MEDIA
from ..datasets.rows import quote
from .confusion import file_of, labels_and_predictions
from .results import ResultError

OUTCOMES = 'both wrong', 'only A right', 'only B right', 'both right'
ONLY_A, ONLY_B = 1, 2  # places of these


def compare(first: list[dict], second: list[dict]) -> np.ndarray:
    """Which of two predictions is right, for each sample.

    Args:
        first (list[dict]): A, as returned by :func:`.results.load_results`.
        second (list[dict]): B, on the same samples in the same order.

    Returns:
        np.ndarray: (samples,), places in OUTCOMES, or -1 for samples that are broken
        in A or B.

    Raises:
        ResultError: If the samples differ in number, classes, labels or file names, or
            have several labels.
    """
    (labels, of_a), (others, of_b) = map(labels_and_predictions, (first, second))
    if len(labels) != len(others):
        raise _differ(f'A has {len(labels)}, B {len(others)}')
    classes = [len(results[0]['pred_score']) for results in (first, second)]
    if classes[0] != classes[1]:
        raise _differ(f'A has {classes[0]} classes, B {classes[1]}')
    known = (labels >= 0) & (others >= 0)
    for i in (known & (labels != others)).nonzero()[0]:
        raise _differ(f'sample {i} has label {labels[i]} in A and {others[i]} in B')
    for i, files in enumerate(zip(map(_name, first), map(_name, second))):
        if None not in files and files[0] != files[1]:
            raise _differ(
                f'sample {i} is {quote(files[0])} in A, {quote(files[1])} in B'
            )
    if not known.any():
        raise ResultError('every sample is broken in A or in B')
    outcomes = (of_a == labels) + 2 * (of_b == labels)
    return np.where(known, outcomes, -1)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's test, exact: are two classifiers equally good?

    Only samples that one of them gets right count. If both are equally good, each of
    these is a fair coin. The test assumes that samples are independent.

    Args:
        only_first (int): Number of samples that only the first gets right.
        only_second (int): Number of samples that only the second gets right.

    Returns:
        float: Probability of a difference at least this large by chance, two-sided.
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    ways = total = 1  # of at most 0 coins out of n that show heads
    for k in range(fewer):
        ways = ways * (n - k) // (k + 1)
        total += ways
    return min(1.0, 2 * total / 2**n)


def changes_by_class(
    labels: np.ndarray, outcomes: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples of each class that B loses and gains.

    Args:
        labels (np.ndarray): (samples,).
        outcomes (np.ndarray): (samples,), from :func:`compare`.
        classes (int): Number of classes.

    Returns:
        tuple[np.ndarray, np.ndarray]: (classes,) each.
    """
    lost, gained = (
        np.bincount(labels[outcomes == outcome], minlength=classes)
        for outcome in (ONLY_A, ONLY_B)
    )
    return lost, gained


def _name(result):
    """A sample's file without folders and extension, which may differ."""
    file = file_of(result)
    return MEDIA.sub('', osp.basename(file)) if file else None


def _differ(reason):
    return ResultError(f'A and B are not of the same samples: {reason}')
