"""Pictures of which classes are predicted as which, and of what changed."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..evaluation.comparison import OUTCOMES, changes_by_class
from ..evaluation.confusion import class_accuracies, confused_block, confused_pairs
from .pictures import save

BLOCK = 30  # classes of a matrix whose names and numbers can be read
ROWS = 20  # bars below each other
LONGEST = 32  # letters of a name
RIGHT, WRONG = 'darkgreen', 'darkred'
COLOURS = WRONG, 'C1', 'C0', RIGHT  # of OUTCOMES


def draw_matrix(matrix: np.ndarray, names: Sequence[str], out: str | PathLike) -> None:
    """Draw a confusion matrix, or the part of a large one with the most mistakes.

    Args:
        matrix (np.ndarray): From ``evaluation.confusion.confusion_matrix``.
        names (Sequence[str]): Of the classes.
        out (str | PathLike): The picture; its extension selects the format.
    """
    chosen = confused_block(matrix, BLOCK)
    if not chosen:  # of many classes
        return _draw_nothing(out)
    partial = len(chosen) < len(matrix)
    cells, samples = matrix[np.ix_(chosen, chosen)], matrix[chosen].sum(1)
    columns = [_short(names[i]) for i in chosen]
    title = 'Predictions in % of the samples of the true class'
    if partial:
        others = samples - cells.sum(1)
        cells = np.concatenate([cells, others[:, None]], 1)
        columns.append('all other classes')
        title += (
            f': the {len(chosen)} of {len(matrix)} classes that are most often '
            'confused with each other'
        )
    shares = cells / np.maximum(samples, 1)[:, None]
    kinds = np.where(np.eye(*shares.shape), 0, 1)
    kinds[:, len(chosen) :] = 2
    strongest = shares[kinds == 1].max(initial=0.01)  # few mistakes have to be seen too
    figure = Figure(
        figsize=(3.5 + 0.36 * len(columns), 3 + 0.3 * len(chosen)), layout='constrained'
    )
    axes = figure.subplots()
    scales = [('Greens', 1.4), ('Reds', 1.4 * strongest), ('Greys', 1.6)]
    for kind, (colours, most) in enumerate(scales):
        shown = np.where((kinds == kind) & (cells > 0), shares, np.nan)
        axes.imshow(shown, cmap=colours, vmin=0, vmax=most, aspect='auto')
    for i, j in zip(*((cells > 0) | (kinds == 0)).nonzero()):
        share, most = shares[i, j], scales[kinds[i, j]][1]
        text = '<1' if 0 < share < 0.005 else f'{100 * share:.0f}'
        colour = 'white' if share > 0.55 * most else 'black'
        axes.text(j, i, text, ha='center', va='center', fontsize=8, color=colour)
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=9)
    rows = [f'{name} ({n})' for name, n in zip(columns, samples)]
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set(xlabel='predicted class', ylabel='true class (samples)')
    axes.set_xticks(np.arange(0.5, len(columns) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(rows) - 1), minor=True)
    axes.grid(which='minor', color='0.9', linewidth=0.6)
    axes.tick_params(which='minor', length=0)
    _plain(axes)
    figure.suptitle(title, fontsize=11)
    save(figure, out)


def draw_pairs(matrix: np.ndarray, names: Sequence[str], out: str | PathLike) -> None:
    """Draw the most confused pairs of classes as bars; arguments as of draw_matrix."""
    pairs = confused_pairs(matrix)
    if not pairs:
        return _draw_nothing(out)
    shown = pairs[:ROWS]
    figure = Figure(figsize=(10, 1.4 + 0.24 * len(shown)), layout='constrained')
    axes = figure.subplots()
    for place, pair in enumerate(shown):
        axes.barh(place, pair.samples, color=WRONG, height=0.7)
        text = f' {pair.samples} of {matrix[pair.label].sum()}'
        text += f', {pair.reverse} in reverse' if pair.reverse else ''
        axes.text(pair.samples, place, text, va='center', fontsize=9)
    texts = [f'{_short(names[p.label])} → {_short(names[p.predicted])}' for p in shown]
    axes.set_yticks(range(len(shown)), texts, fontsize=9)
    # room for what is written after the longest bar
    axes.set(xlabel='samples of the true class', xlim=(0, 1.35 * shown[0].samples))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    _plain(axes)
    what = f'the first {len(shown)} of {len(pairs)}' if len(pairs) > ROWS else 'all'
    figure.suptitle(f'Confused classes, true → predicted ({what})', fontsize=11)
    save(figure, out)


def draw_classes(matrix: np.ndarray, names: Sequence[str], out: str | PathLike) -> None:
    """Draw the accuracy of the worst and the best classes; arguments as of draw_matrix.

    Classes without samples are left out.
    """
    accuracies = class_accuracies(matrix)
    order = np.argsort(accuracies, kind='stable').tolist()
    order = [i for i in order if not np.isnan(accuracies[i])]
    mean = float(np.mean(accuracies[order]))
    parts = [('All classes', order)]
    if len(order) > 2 * ROWS:
        parts = [
            (f'The worst {ROWS} of {len(order)} classes', order[:ROWS]),
            (f'The best {ROWS}', order[: -ROWS - 1 : -1]),
        ]
    figure = Figure(
        figsize=(9 * len(parts), 1.6 + 0.24 * len(parts[0][1])), layout='constrained'
    )
    (row,) = figure.subplots(1, len(parts), squeeze=False)
    for axes, (title, part) in zip(row, parts):
        axes.barh(range(len(part)), 1, color='whitesmoke', height=0.7)
        axes.barh(range(len(part)), accuracies[part], color=RIGHT, height=0.7)
        axes.axvline(mean, color='0.4', linestyle=':', linewidth=1.4)
        for place, i in enumerate(part):
            text = f'{100 * accuracies[i]:.0f} %'
            wrong = np.where(np.arange(len(matrix)) == i, 0, matrix[i])
            if wrong.any():
                text += f', most mistakes as {_short(names[int(wrong.argmax())])}'
                text += f' ({wrong.max()})'
            axes.text(1.03, place, text, va='center', fontsize=9)
        texts = [f'{_short(names[i])} ({matrix[i].sum()})' for i in part]
        axes.set_yticks(range(len(part)), texts, fontsize=9)
        axes.set(xlim=(0, 2), xticks=[0, 0.25, 0.5, 0.75, 1])
        xlabel = f'accuracy (dotted: mean of all classes, {mean:.3f})'
        axes.set_xlabel(xlabel, loc='left')
        axes.set_title(title, fontsize=11, loc='left')
        axes.invert_yaxis()
        _plain(axes)
    save(figure, out)


def draw_changes(
    labels: np.ndarray,
    outcomes: np.ndarray,
    names: Sequence[str],
    title: str,
    out: str | PathLike,
) -> None:
    """Draw what changed between two results: outcomes, and gains and losses by class.

    Args:
        labels (np.ndarray): (samples,).
        outcomes (np.ndarray): (samples,), from ``evaluation.comparison.compare``.
        names (Sequence[str]): Of the classes.
        title (str): Above all.
        out (str | PathLike): The picture; its extension selects the format.
    """
    lost, gained = changes_by_class(labels, outcomes, len(names))
    changed = np.argsort(-(lost + gained), kind='stable')[:ROWS]
    changed = changed[lost[changed] + gained[changed] > 0]
    changed = changed[np.argsort((lost - gained)[changed], kind='stable')]
    figure = Figure(figsize=(10, 3 + 0.24 * len(changed)), layout='constrained')
    heights = [1, 0.4 + 0.24 * len(changed)]
    above, below = figure.subplots(2, 1, height_ratios=heights)
    counts = [int((outcomes == i).sum()) for i in range(len(OUTCOMES))]
    left = 0
    for count, colour in reversed(list(zip(counts, COLOURS))):
        above.barh(0, count, left=left, color=colour)
        left += count
    above.set(yticks=[], xlim=(0, left), xlabel='samples')
    _plain(above)
    handles = [
        Patch(color=colour, label=f'{outcome}: {count}')
        for count, outcome, colour in zip(counts, OUTCOMES, COLOURS)
    ]
    figure.legend(handles=handles[::-1], loc='outside lower center', ncols=4)
    places = range(len(changed))
    below.barh(places, -lost[changed], color=COLOURS[1], height=0.7)
    below.barh(places, gained[changed], color=COLOURS[2], height=0.7)
    below.axvline(0, color='0.4', linewidth=1)
    below.set_yticks(places, [_short(names[i]) for i in changed], fontsize=9)
    most = max([1, *lost[changed], *gained[changed]])
    below.set(
        xlim=(-most - 0.5, most + 0.5), xlabel='samples lost | samples gained by B'
    )
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.xaxis.set_major_formatter(lambda value, _: f'{abs(value):.0f}')
    below.invert_yaxis()
    what = 'The classes that changed'
    if len(changed) == ROWS:
        what = f'The {ROWS} classes that changed most'
    below.set_title(what, fontsize=11)
    _plain(below)
    figure.suptitle(title, fontsize=11)
    save(figure, out)


def _draw_nothing(out):
    figure = Figure(figsize=(6, 0.5))
    figure.text(0.5, 0.5, 'No class was confused', ha='center', va='center')
    save(figure, out)


def _plain(axes):
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _short(name):
    return name if len(name) <= LONGEST else f'{name[: LONGEST - 1]}…'
