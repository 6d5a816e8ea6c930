"""Curves of a self-supervised training, as a picture and as tables."""

from __future__ import annotations

import csv
from os import PathLike
from pathlib import Path

from matplotlib.figure import Figure

from ..evaluation.logs import read_scalars
from ..files import replacing
from ..literals import csv_cell
from .pictures import save


def draw_pretraining(work_dir: str | PathLike, out: str | PathLike) -> None:
    """Draw what distinguishes a healthy pre-training from a collapse.

    Args:
        work_dir (str | PathLike): Where the run wrote ``*/vis_data/scalars.json``.
        out (str | PathLike): The picture; its extension selects the format.

    Raises:
        UsageError: If the directory contains no scalars.
    """
    train, val = read_scalars(work_dir)
    figure = Figure(figsize=(15, 4), layout='constrained')
    left, middle, right = figure.subplots(1, 3)
    _plot(left, train, ('loss', 'var_hinge'))
    rates = left.twinx()
    _plot(rates, train, ('lr',), style='C7:')
    left.set(xlabel='iteration', title='loss (falling does not prove learning)')
    rates.set(ylabel='learning rate', ylim=(0, None))
    _plot(middle, train, ('target_std', 'clip_std', 'pred_std'))
    middle.set(xlabel='iteration', ylim=(0, None), title='spread (0 is a collapse)')
    _plot(right, val, ('features/knn_top1',), style='C0o-')
    right.set(xlabel='epoch', ylim=(0, 1.02), title='held-out features')
    ranks = right.twinx()
    _plot(ranks, val, ('features/rankme',), style='C1o-')
    ranks.set(ylabel='effective rank', ylim=(0, None))
    left.legend(loc='upper right')
    for panel in (middle, right):
        if panel.lines:
            panel.legend(loc='lower right')
    if ranks.lines:
        ranks.legend(loc='lower left')
    save(figure, out)


def write_tables(work_dir: str | PathLike, folder: str | PathLike) -> None:
    """Write all scalars of a run as ``train.csv`` and ``val.csv``.

    There is one row per logged step; a resumed run counts as a single run. The columns
    are ``step`` and the names of the scalars, empty where one was not logged.

    Args:
        work_dir (str | PathLike): As for :func:`draw_pretraining`.
        folder (str | PathLike): Folder for the tables.

    Raises:
        UsageError: As for :func:`draw_pretraining`.
    """
    for name, rows in zip(('train', 'val'), read_scalars(work_dir)):
        if rows:
            _write_table(Path(folder) / f'{name}.csv', rows)


def _write_table(path, rows):
    names = dict.fromkeys(key for row in rows.values() for key in row)
    columns = ['step', *(name for name in names if name != 'step')]
    with replacing(path) as file:
        table = csv.writer(file)
        table.writerow(map(csv_cell, columns))
        for step in sorted(rows):
            table.writerow(csv_cell(rows[step].get(name, '')) for name in columns)


def _plot(axis, scalars, keys, style='-'):
    for key in keys:
        at = [step for step in sorted(scalars) if key in scalars[step]]
        if at:
            axis.plot(at, [scalars[step][key] for step in at], style, label=key)
