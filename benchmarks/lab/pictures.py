"""The pictures of the laboratory's page, in colours that all eyes can tell apart."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
from comparisons import BASE, PRO, compare_all
from entries import Results, every
from intervals import FOR_INTERVAL, SCORE, spread
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from sections import FAR, MAIN, RECALL, TARGET, present, ranked

from mmaction_videomambapro.files import replacing
from mmaction_videomambapro.visualization.pictures import save

# Okabe and Ito's colours, and a marker for whoever prints in grey
STYLES = {
    BASE: ('#000000', 'o'),
    'residual': ('#e69f00', 's'),
    'masked': ('#0072b2', '^'),
    PRO: ('#d55e00', 'D'),
    'unidirectional': ('#56b4e9', 'v'),
    'vit': ('#009e73', 'P'),
}
CHANCE = dict(color='0.5', linestyle='--', linewidth=1, zorder=0)


def draw_leaderboard(models: Results, out: Path) -> None:
    """Draw all scores, with a dot for each seed."""
    rows = dict(reversed(ranked(models).items()))
    figure = Figure(figsize=(7, 1 + 0.27 * len(rows)), layout='constrained')
    axes = figure.subplots()
    for y, (name, each) in enumerate(rows.items()):
        values = [100 * value for value in each.values()]
        colour = STYLES[name][0] if name in MAIN else '0.45'
        axes.plot(values, [y] * len(values), 'o', color=colour, alpha=0.35, ms=4)
        axes.plot(statistics.fmean(values), y, '|', color=colour, ms=13, mew=2)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set(xlabel='score: 0 is a guess, 100 is without errors')
    axes.set_title('a dot is a seed, a line their mean', fontsize=10, loc='left')
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)
    _save_small(figure, out)


def draw_differences(models: Results, out: Path) -> None:
    """Draw what residual, mask and both change, with intervals."""
    names = [name for name in MAIN if name != BASE]
    found = compare_all(models, [(BASE, name) for name in names])
    places = [SCORE, *present(models)]
    figure = Figure(figsize=(8, 1.4 + 0.5 * len(places)), layout='constrained')
    axes = figure.subplots()
    for i, name in enumerate(names):
        colour, marker = STYLES[name]
        for y, place in enumerate(places):
            each = found.get((BASE, name), {}).get(place)
            if each is None:
                continue
            at = y + 0.24 * (i - 1)
            if each.low is not None:
                ends = 100 * each.low, 100 * each.high
                axes.plot(ends, (at, at), color=colour, linewidth=1.6)
            face = colour if each.claimed else 'white'
            axes.plot(100 * each.mean, at, marker, color=colour, mfc=face, ms=6)
        axes.plot([], [], marker, color=colour, label=name)
    axes.axvline(0, color='0.3', linewidth=1, zorder=0)
    for y in range(len(places)):
        if y % 2 == 0:
            axes.axhspan(y - 0.5, y + 0.5, color='0.95', zorder=-1)
    axes.set_yticks(range(len(places)), places)
    axes.set(ylim=(len(places) - 0.5, -0.5))
    axes.set_xlabel(f'difference from {BASE}, points, with 95 % intervals')
    title = f'filled: claimed; without a line: fewer than {FOR_INTERVAL} seeds'
    axes.set_title(title, fontsize=10, loc='left')
    figure.legend(loc='outside lower center', ncols=len(names), frameon=False)
    _save_small(figure, out)


def draw_recall(models: Results, out: Path) -> None:
    """Draw accuracy against the distance between cue and question."""
    names = [name for name in FAR if name in models]
    figure = Figure(figsize=(7, 4), layout='constrained')
    axes = figure.subplots()
    for i, name in enumerate(names):
        results = [models[name][task] for task in RECALL if task in models[name]]
        values = [list(result.accuracies.values()) for result in results]
        colour, marker = STYLES[name]
        shift = 1.04 ** (i - (len(names) - 1) / 2)  # so that bars do not hide others
        axes.errorbar(
            [_distance(result.task) * shift for result in results],
            [100 * statistics.fmean(each) for each in values],
            [100 * (spread(each) or 0) for each in values],
            color=colour, marker=marker, ms=6, capsize=2, linewidth=1.4,
        )  # fmt: skip
    for chance in {r.chance for r in every(models) if r.task in RECALL}:
        axes.axhline(100 * chance, **CHANCE)
    distances = [_distance(task) for task in RECALL]
    axes.set_ylim(top=min(axes.get_ylim()[1], 103))
    axes.set_xscale('log', base=2)
    axes.set_xticks(distances, map(str, distances))
    axes.set(xlabel='frames between cue and question', ylabel='accuracy (%)')
    handles = [_line(name) for name in names]
    handles.append(Line2D([], [], label='chance', **CHANCE))
    figure.legend(handles=handles, loc='outside right center', frameon=False)
    _save_small(figure, out)


def _distance(task):
    return int(task.rpartition('-')[2])


def draw_time(models: Results, out: Path) -> None:
    """Draw accuracy against CPU seconds, a panel for each task."""
    tasks, names = present(models), (*MAIN, 'vit')
    chances = {result.task: result.chance for result in every(models)}
    columns = min(len(tasks), 4)
    rows = -(-len(tasks) // columns)
    size = 1.6 * columns + 0.5, 1.6 * rows + 0.6
    figure = Figure(figsize=size, layout='constrained')
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for panel, task in zip(grid.flat, tasks):
        panel.axhline(100 * TARGET, color='0.85', linewidth=1, zorder=0)
        for name in names:
            if task in models.get(name, {}):
                _draw_curve(panel, models[name][task])
        panel.axhline(100 * chances[task], **CHANCE)
        panel.set_title(task, fontsize=10)
        panel.set(xlim=(0, None), ylim=(max(0, 100 * min(chances.values()) - 12), 103))
    for panel in grid.flat[len(tasks) :]:
        panel.set_axis_off()
    for panel in grid[:, 0]:
        panel.set_ylabel('accuracy (%)')
    for panel in grid[-1]:
        panel.set_xlabel('CPU seconds')
    handles = [_line(name) for name in names if name in models]
    handles.append(Line2D([], [], label='chance', **CHANCE))
    figure.legend(handles=handles, loc='outside upper center', ncols=6, frameon=False)
    _save_small(figure, out)


def _draw_curve(panel, result):
    """The mean of the seeds, in time and in accuracy."""
    curves = [result.timed(entry) for entry in result.entries.values()]
    mean = [np.mean(rows, axis=0) for rows in zip(*curves)]
    if mean:
        seconds, accuracy = np.transpose(mean)
        line = _line(result.contestant, markevery=3)
        line.set_data(seconds, 100 * accuracy)
        panel.add_line(line)
    panel.relim()
    panel.autoscale_view()


def _line(name, **changes):
    colour, marker = STYLES[name]
    style = dict(color=colour, marker=marker, ms=3.5, linewidth=1.3) | changes
    return Line2D([], [], label=name, **style)


def _save_small(figure, out):
    """Save with 128 colours, which takes a third of the bytes."""
    save(figure, out)
    with Image.open(out) as picture:
        small = picture.convert('RGB').quantize(128)
    with replacing(out, 'wb') as file:
        small.save(file, format='PNG', optimize=True)


PICTURES = {
    'lab-leaderboard.png': draw_leaderboard,
    'lab-differences.png': draw_differences,
    'lab-recall.png': draw_recall,
    'lab-time.png': draw_time,
}
