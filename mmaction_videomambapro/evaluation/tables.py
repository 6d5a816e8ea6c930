"""Tables of classes, confused pairs, mistakes and changed samples, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from ..datasets.rows import quote
from ..files import replacing
from ..literals import csv_cell
from .comparison import ONLY_A, ONLY_B, OUTCOMES
from .confusion import (
    certain_mistakes,
    class_accuracies,
    confused_pairs,
    file_of,
    precisions,
)
from .results import ResultError


def names_for(classes: Sequence[str] | None, results: list[dict]) -> list[str]:
    """Names of the classes of results on one line each, or ``class 0`` and so on.

    Raises:
        ResultError: If the number of names is not the number of classes.
    """
    count = len(results[0]['pred_score'])
    if classes is None:
        return [f'class {label}' for label in range(count)]
    if len(classes) != count:
        raise ResultError(
            f'there are {len(classes)} class names, but the results have {count} '
            'classes: choose other names with --classes'
        )
    return [quote(name) for name in classes]


def write_matrix(
    path: str | PathLike, matrix: np.ndarray, names: Sequence[str]
) -> None:
    """Write the whole matrix: a row per true class, a column per predicted one."""
    header = ['class', *names]
    _write(path, header, ([name, *row] for name, row in zip(names, matrix.tolist())))


def write_classes(
    path: str | PathLike, matrix: np.ndarray, names: Sequence[str]
) -> None:
    """Write accuracy and precision of each class, the worst class first."""
    header = 'label', 'class', 'samples', 'right', 'accuracy', 'predicted', 'precision'
    accuracies, shares = class_accuracies(matrix), precisions(matrix)
    samples, predicted = matrix.sum(1).tolist(), matrix.sum(0).tolist()
    rows = []
    for i in np.argsort(accuracies, kind='stable').tolist():  # NaN comes last
        of_class = samples[i], matrix[i, i], _digits(accuracies[i])
        rows.append((i, names[i], *of_class, predicted[i], _digits(shares[i])))
    _write(path, header, rows)


def write_pairs(path: str | PathLike, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Write all confused pairs, the most frequent first."""
    header = 'class', 'predicted', 'samples', 'share', 'reverse'
    rows = (
        (names[p.label], names[p.predicted], p.samples, _digits(p.share), p.reverse)
        for p in confused_pairs(matrix)
    )
    _write(path, header, rows)


def write_mistakes(
    path: str | PathLike, results: list[dict], names: Sequence[str]
) -> None:
    """Write all samples with a wrong prediction, the most certain mistake first."""
    header = 'sample', 'file', 'class', 'predicted', 'score', 'score of class'
    rows = (
        (i, _file(results[i]), *_prediction(results[i], names))
        for i in certain_mistakes(results)
    )
    _write(path, header, rows)


def write_changes(
    path: str | PathLike,
    first: list[dict],
    second: list[dict],
    outcomes: np.ndarray,
    names: Sequence[str],
) -> None:
    """Write all samples that only one of two results has right."""
    header = 'sample', 'file', 'class', 'outcome', 'A', 'score of A', 'B', 'score of B'
    rows = []
    for i in np.isin(outcomes, (ONLY_A, ONLY_B)).nonzero()[0].tolist():
        label, *a, _ = _prediction(first[i], names)
        _, *b, _ = _prediction(second[i], names)
        rows.append((i, _file(second[i]), label, OUTCOMES[outcomes[i]], *a, *b))
    _write(path, header, rows)


def _file(result):
    return quote(file_of(result) or '')


def _prediction(result, names):
    label, predicted = int(result['gt_label']), int(result['pred_label'])
    scores = (_digits(float(result['pred_score'][i])) for i in (predicted, label))
    return names[label], names[predicted], *scores


def _digits(value):
    return '' if np.isnan(value) else f'{value:.4f}'


def _write(path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with replacing(path) as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(map(csv_cell, header))
        table.writerows(map(csv_cell, row) for row in rows)
