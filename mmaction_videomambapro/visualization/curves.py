"""The curves of training runs, supervised or not, as pictures and as tables.

MMAction2's analyze_logs reads a format that MMEngine no longer writes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from matplotlib.figure import Figure

from ..errors import UsageError
from ..evaluation.logs import read_scalars
from ..files import replacing
from ..literals import csv_cell
from .pictures import save


def draw_curves(work_dir: str | PathLike, out: str | PathLike) -> None:
    """Draw loss, learning rate and accuracies of a work directory as one picture.

    A resumed run is drawn as a single run.

    Args:
        work_dir (str | PathLike): Where the run wrote ``*/vis_data/scalars.json``.
        out (str | PathLike): The picture; its extension selects the format.

    Raises:
        UsageError: If the directory contains no scalars.
    """
    train, val = read_scalars(work_dir)
    figure = Figure(figsize=(11, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    steps = sorted(train)
    left.plot(steps, [train[s]['loss'] for s in steps], label='training loss')
    left.set(xlabel='iteration', ylabel='loss', ylim=(0, None))
    rates = left.twinx()
    # the highest rate of all layers; the first group's may be the lowest
    lrs = [train[s].get('base_lr', train[s]['lr']) for s in steps]
    rates.plot(steps, lrs, 'C7:', label='learning rate')
    rates.set(ylabel='learning rate', ylim=(0, None))
    handles = [*left.lines, *rates.lines]
    figure.legend(handles=handles, loc='outside lower left', ncols=2)

    epochs = {}
    for s in steps:
        if 'top1_acc' in train[s]:
            epochs.setdefault(train[s]['epoch'], []).append(train[s]['top1_acc'])
    if epochs:
        means = [sum(v) / len(v) for v in epochs.values()]
        right.plot(list(epochs), means, 'C7-', label='training top-1, mean')
    _plot(right, val, ('acc/top1',), 'C0o-', 'validation ')
    _plot(right, val, ('acc/top5',), 'C1o-', 'validation ')
    right.set(xlabel='epoch', ylabel='accuracy', ylim=(0, 1.02))
    if right.lines:
        figure.legend(handles=right.lines, loc='outside lower right', ncols=3)
    save(figure, out)


def draw_comparison(
    work_dirs: Sequence[str | PathLike], out: str | PathLike
) -> dict[str, float]:
    """Draw the validation accuracies of several runs as one picture.

    Args:
        work_dirs (Sequence[str | PathLike]): As for :func:`draw_curves`.
        out (str | PathLike): The picture; its extension selects the format.

    Returns:
        dict[str, float]: Final top-1 accuracy of each, by work directory.

    Raises:
        UsageError: If a directory contains no scalars, or no accuracies.
    """
    runs = {}
    for work_dir in work_dirs:
        _, val = read_scalars(work_dir)
        curve = {s: val[s]['acc/top1'] for s in sorted(val) if 'acc/top1' in val[s]}
        if not curve:
            raise UsageError(f'{work_dir}: acc/top1 was never validated')
        runs[str(work_dir)] = curve
    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    for name, curve in runs.items():
        # a legend leaves out names that begin with an underscore
        label = f'./{name}' if name.startswith('_') else name
        axes.plot(list(curve), list(curve.values()), 'o-', label=label)
    axes.set(xlabel='epoch', ylabel='validation top-1', ylim=(0, 1.02))
    figure.legend(loc='outside lower center')
    save(figure, out)
    return {name: curve[max(curve)] for name, curve in runs.items()}


def draw_pretraining(work_dir: str | PathLike, out: str | PathLike) -> None:
    """Draw what distinguishes a healthy pre-training from a collapse.

    Arguments and errors are those of :func:`draw_curves`.
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
        work_dir (str | PathLike): As for :func:`draw_curves`.
        folder (str | PathLike): Folder for the tables.

    Raises:
        UsageError: As for :func:`draw_curves`.
    """
    for name, rows in zip(('train', 'val'), read_scalars(work_dir)):
        if not rows:
            continue
        scalars = dict.fromkeys(key for row in rows.values() for key in row)
        columns = list({'step': None, **scalars})
        with replacing(Path(folder) / f'{name}.csv') as file:
            table = csv.writer(file)
            table.writerow(map(csv_cell, columns))
            for step in sorted(rows):
                table.writerow(csv_cell(rows[step].get(name, '')) for name in columns)


def _plot(axis, scalars, keys, style='-', prefix=''):
    for key in keys:
        at = [step for step in sorted(scalars) if key in scalars[step]]
        if at:
            values = [scalars[step][key] for step in at]
            axis.plot(at, values, style, label=f'{prefix}{key}')
