"""Draws docs/scan.png: what the scans of both mixers let a token see."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from torch import Tensor

from mmaction_videomambapro.ops.naive import selective_scan_naive
from mmaction_videomambapro.visualization.pictures import save

FRAMES, PATCHES = 2, 4
TOKENS = FRAMES * PATCHES
STEP, DECAY = 0.5, 0.7  # of the scan that is drawn, the same for all tokens
INK, GREY = '#1f2933', '#616e7c'
FORWARD, BACKWARD = '#1769aa', '#c2571a'
FRAME_COLOURS = '#f2d49b', '#a9d6c5'
NOTES = (
    ('VideoMamba',
     'Both scans start from nothing. Their states are read after the',
     'token was added, so it counts twice in its own output.'),
    ('VideoMambaPro',
     'Residual: both scans start from their first token. Masked: the',
     'backward state is read before the token is added: it counts once.'),
)  # fmt: skip


def draw_scan(out: str | PathLike) -> None:
    """Draw both directions of both mixers, and their sum.

    The matrices are derivatives of the scan, so they show what the code computes.

    Args:
        out (str | PathLike): The picture; its extension selects the format.
    """
    figure = Figure(figsize=(12, 6), facecolor='white')
    grid = figure.add_gridspec(
        2, 4, width_ratios=(2.75, 1, 1, 1),
        left=0.015, right=0.985, top=0.96, bottom=0.05, wspace=0.13, hspace=0.2,
    )  # fmt: skip
    for row, pro in enumerate((False, True)):
        lanes = figure.add_subplot(grid[row, 0])
        _draw_lanes(lanes, pro)
        forward = influence(residual=pro)
        backward = influence(residual=pro, masked=pro, reverse=True)
        matrices = (
            ('forward', forward, FORWARD, STEP),
            ('backward', backward, BACKWARD, STEP),
            ('sum', forward + backward, INK, 2 * STEP),
        )
        for column, matrix in enumerate(matrices, start=1):
            _draw_matrix(figure.add_subplot(grid[row, column]), *matrix)
    save(figure, out)


def influence(**rules: bool) -> Tensor:
    """Compute how much each output of a scan takes from each token.

    Args:
        **rules: ``residual``, ``masked`` and ``reverse`` of ``selective_scan``.

    Returns:
        Tensor: (L, L), with the derivative of output i by token j in row i, column j.
    """
    delta = torch.full((1, 1, TOKENS), STEP)
    A = torch.full((1, 1), -DECAY)
    B = C = torch.ones(1, 1, TOKENS)

    def scan(u):
        return selective_scan_naive(u[None, None], delta, A, B, C, **rules)[0, 0]

    return torch.autograd.functional.jacobian(scan, torch.ones(TOKENS))


def _draw_lanes(axes: Axes, pro: bool) -> None:
    """Draw tokens in a row, and the two scans that pass over them."""
    axes.set(xlim=(-2.1, TOKENS + 0.95), ylim=(-1.8, 3.4), aspect='equal')
    axes.axis('off')
    title, *note = NOTES[pro]
    axes.text(-2, 3.1, title, size=16, weight='bold', color=INK)
    for i, line in enumerate(note):
        axes.text(-2, 2.6 - 0.4 * i, line, size=10.5, color=GREY)
    for i in range(TOKENS):
        colour = FRAME_COLOURS[i // PATCHES]
        axes.add_patch(_token(i, colour))
        axes.text(i, 0, str(i), size=10, color=INK, ha='center', va='center')
    axes.text(-0.75, 0, 'tokens', size=10, color=INK, ha='right', va='center')
    for reverse in (False, True):
        _draw_lane(axes, reverse, residual=pro, masked=pro and reverse)


def _draw_lane(axes: Axes, reverse: bool, residual: bool, masked: bool) -> None:
    """Draw one scan: its state takes in a token, and an output reads the state."""
    side, colour = (-1, BACKWARD) if reverse else (1, FORWARD)
    level, ahead = side * 1.05, -side if masked else side
    first, last = (TOKENS - 1, 0) if reverse else (0, TOKENS - 1)
    begin, end = first - side * 0.75, last + side * 0.95
    arrow = dict(arrowstyle='-|>,head_width=0.28,head_length=0.5', color=colour)
    axes.annotate(
        '', (end, level), (begin, level),
        arrowprops=dict(arrow, lw=2.6, shrinkA=0, shrinkB=0, mutation_scale=13),
    )  # fmt: skip
    for i in range(TOKENS):
        axes.annotate(
            '', (i, level), (i, side * 0.36),
            arrowprops=dict(arrow, lw=1, shrinkA=0, shrinkB=1, mutation_scale=9),
        )  # fmt: skip
        x, silent = i + ahead * 0.32, masked and i == first
        if not silent:
            axes.plot([x, x], [level, side * 1.55], color=colour, lw=1)
        face = 'white' if silent else colour
        axes.add_patch(Circle((x, side * 1.66), 0.11, fc=face, ec=colour, lw=1))
    start = f'h = u{"₇" if reverse else "₀"}' if residual else 'h = 0'
    face = colour if residual else 'white'
    axes.add_patch(Circle((begin, level), 0.13, fc=face, ec=colour, lw=2, zorder=3))
    where = 'left' if reverse else 'right'
    axes.text(begin - side * 0.25, level, start, size=10, color=colour, ha=where,
              va='center')  # fmt: skip


def _token(x, colour):
    return FancyBboxPatch(
        (x - 0.27, -0.27), 0.54, 0.54, boxstyle='round,pad=0.03,rounding_size=0.1',
        fc=colour, ec='none',
    )  # fmt: skip


def _draw_matrix(axes, title, values, colour, most) -> None:
    colours = LinearSegmentedColormap.from_list('', ['#f3f5f8', colour])
    axes.pcolormesh(values, cmap=colours, vmin=0, vmax=most, edgecolors='white', lw=1.5)
    axes.invert_yaxis()
    axes.set(aspect='equal', xticks=[], yticks=[])
    axes.set_title(title, size=11, color=colour, pad=5)
    axes.set_xlabel('of token', size=9, color=GREY, labelpad=3)
    axes.set_ylabel('in output', size=9, color=GREY, labelpad=3)
    axes.spines[:].set_visible(False)


if __name__ == '__main__':
    draw_scan(Path(__file__).with_name('scan.png'))
