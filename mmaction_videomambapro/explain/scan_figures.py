"""Draws the statistics of scans: mask and residual off and on, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from torch import Tensor

from ..visualization.pictures import save
from .scan_statistics import LayerStatistics, Settings

NAMES = {False: 'mask and residual off', True: 'mask and residual on'}
BINS = 32  # of distances in tokens, on either side
FLOOR = 1e-8  # of the largest weight: what is less does not count any more
COLOURS = ListedColormap(colormaps['viridis_r'](np.linspace(0.15, 1, 256)))
PANELS = (
    ('diagonal', 'share of the diagonal'),
    ('first_share', 'share of first tokens'),
    ('states', 'cancelled between states'),
    ('channels', '... between channels'),
    ('directions', '... between directions'),
    ('rank', 'effective rank'),
)


def draw_scan_statistics(
    models: Mapping[str, Sequence[Settings]], out: str | PathLike
) -> None:
    """Draw decay curves of each model and, of all models, numbers by layer.

    Args:
        models (Mapping[str, Sequence[Settings]]): The statistics of each model's
            layers, by its name.
        out (str | PathLike): The picture; its extension selects the format.

    Raises:
        UsageError: If the format does not exist.
    """
    width = max(15, 9 * len(models))
    figure = Figure(figsize=(width, 11), layout='constrained')
    halves = figure.add_gridspec(2, 1, height_ratios=(2.2, 1))
    upper, lower = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    depth = max(map(len, models.values()))
    colours = ScalarMappable(Normalize(1, max(depth, 2)), COLOURS)
    statistics = [s for layers in models.values() for x in layers for s in x.values()]
    limits = [_limits(x) for x in zip(*((s.tokens, s.frames) for s in statistics))]
    places = upper.add_gridspec(1, len(models))
    for m, (name, layers) in enumerate(models.items()):
        part = upper.add_subfigure(places[m])
        part.suptitle(name, fontweight='bold')
        _draw_decay(part, layers, colours, limits)
    _draw_layers(lower, models)
    save(figure, out)


def _limits(curves: Sequence[Tensor]) -> tuple[float, float]:
    values = np.concatenate([x.numpy() for x in curves])
    values = values[values > 0]
    return max(values.min(), FLOOR * values.max()) / 2, values.max() * 4


def _draw_decay(
    figure: SubFigure,
    layers: Sequence[Settings],
    colours: ScalarMappable,
    limits: Sequence[tuple[float, float]],
) -> None:
    axes = figure.subplots(2, 2)
    for on, (tokens, frames) in enumerate(axes.T):
        tokens.set_title(NAMES[bool(on)], fontsize=10)
        _draw_curves(tokens, frames, [layer[bool(on)] for layer in layers], colours)
        for axis, limit in zip((tokens, frames), limits):
            axis.set(yscale='log', ylim=limit)
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{y:g}'))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f'{abs(x):g}'))
            axis.grid(alpha=0.25)
            axis.axvline(0, color='0.6', lw=0.8, zorder=0)
    axes[0, 0].set_ylabel('weight of a token (mean, absolute)')
    axes[1, 0].set_ylabel('share of a frame in all weight')
    bar = figure.colorbar(colours, ax=axes, label='layer', pad=0.01, aspect=40)
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [
        Line2D([], [], color='0.3', ls=':', label='first token of the scan'),
        Line2D([], [], color='0.3', label='all other tokens'),
    ]
    axes[0, 0].legend(handles=handles, loc='lower center', fontsize=8)


def _draw_curves(tokens, frames, layers: list[LayerStatistics], colours) -> None:
    for i, layer in enumerate(layers, start=1):
        colour = colours.to_rgba(i)
        tokens.plot(*_binned(layer.tokens), color=colour, lw=1.2)
        for x, y in _sides(*_binned(layer.first)):
            tokens.plot(x, y, color=colour, lw=1.4, ls=':')
        reach = len(layer.frames) // 2
        x = np.arange(-reach, reach + 1)
        frames.plot(x, layer.frames.numpy(), 'o-', color=colour, lw=1.2, ms=3)
    tokens.set_xscale('symlog', linthresh=1, linscale=0.4)
    tokens.set_xlabel('earlier tokens ← distance → later tokens')
    frames.set_xlabel('earlier frames ← distance → later frames')
    frames.xaxis.set_major_locator(MaxNLocator(integer=True))


def _binned(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Means over distances that a logarithmic axis cannot tell apart."""
    reach = len(values) // 2
    distance = np.arange(-reach, reach + 1)
    edges = np.unique(np.geomspace(1, reach + 1, BINS + 1).astype(int))
    bins = np.sign(distance) * np.searchsorted(edges, abs(distance), side='right')
    found = [
        (distance[bins == b].mean(), np.nanmean(y))
        for b in np.unique(bins)
        if np.isfinite(y := values.numpy()[bins == b]).any()
    ]
    x, y = np.array(found).reshape(-1, 2).T
    return x, np.where(y > 0, y, np.nan)


def _sides(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for side in (x < 0, x > 0):
        yield x[side], y[side]


def _draw_layers(figure: SubFigure, models: Mapping[str, Sequence[Settings]]) -> None:
    axes = figure.subplots(1, len(PANELS))
    for axis, (field, title) in zip(axes, PANELS):
        for m, layers in enumerate(models.values()):
            x = np.arange(1, len(layers) + 1)
            for on, style in ((False, 'o--'), (True, 'o-')):
                y = [float(getattr(layer[on], field)) for layer in layers]
                face = f'C{m}' if on else 'white'
                axis.plot(x, y, style, color=f'C{m}', ms=4, mfc=face)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel='layer', ylim=(0, None if field == 'rank' else 1.03))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.25)
    handles = [
        Line2D([], [], color='0.3', marker='o', mfc=face, ls=style, label=NAMES[on])
        for on, style, face in ((False, '--', 'white'), (True, '-', '0.3'))
    ]
    if len(models) > 1:
        handles += [
            Line2D([], [], color=f'C{m}', lw=4, label=name)
            for m, name in enumerate(models)
        ]
    figure.legend(handles=handles, loc='outside lower center', ncols=len(handles))
