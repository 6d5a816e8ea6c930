"""Draws what happens when in a long video."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..datasets.videos import shrink
from ..literals import printable
from .pictures import families, save

WIDTH, LEFT, RIGHT = 12, 0.6, 0.2  # inches
BAR, CURVES, GAP, LEGEND = 0.4, 1.8, 0.12, 0.24
OTHERS = 'C7'  # grey
COLOURS = [f'C{i}' for i in range(10) if i != 7]
THUMBNAIL = 144  # pixels of a frame's shorter side
LONGEST = 48  # letters of a name below
MOST = 40  # thumbnails that are kept; fewer are drawn


class Thumbnails:
    """A few frames of a video, evenly spread, of the many that are offered.

    Args:
        duration (float): Of the video, in seconds.
    """

    def __init__(self, duration: float) -> None:
        self.duration = duration
        self._found: dict[int, tuple[float, np.ndarray]] = {}

    def add(self, seconds: float, frame: np.ndarray) -> None:
        """Offer a frame, (H, W, 3) uint8 RGB, and when it is shown."""
        slot = int(seconds / self.duration * MOST)
        if slot not in self._found:
            self._found[slot] = seconds, shrink(frame, THUMBNAIL)

    def row(self, count: int) -> list[np.ndarray]:
        """The frames nearest to the middles of equal parts of the video."""
        found = list(self._found.values())
        middles = [(i + 0.5) * self.duration / count for i in range(count)]
        return [min(found, key=lambda f: abs(f[0] - m))[1] for m in middles]

    def __len__(self) -> int:
        return len(self._found)


def draw_timeline(
    thumbnails: Thumbnails,
    times: np.ndarray,
    scores: np.ndarray,
    segments: Sequence[dict],
    names: Sequence[str],
    out: str | PathLike,
    curves: int = 6,
    title: str = '',
) -> None:
    """Draw frames, segments with their labels, and scores over time, as one picture.

    Args:
        thumbnails (Thumbnails): Frames of the video.
        times (np.ndarray): (steps + 1,), from ``evaluation.segments``.
        scores (np.ndarray): (steps, classes), smoothed or not, NaN where not known.
        segments (Sequence[dict]): From ``evaluation.segments.find_segments``.
        names (Sequence[str]): Of the classes.
        out (str | PathLike): The picture; its extension selects the format.
        curves (int): How many classes have a curve: those with the longest segments,
            then those with the highest scores. Defaults to 6.
        title (str): Above all. Defaults to none.
    """
    shown = _classes(scores, segments, curves)
    colours = dict(zip(shown, COLOURS))
    inner = WIDTH - LEFT - RIGHT
    pictures, row = _row(thumbnails, inner)
    others = any(segment['class'] not in colours for segment in segments)
    rows = -(-(len(shown) + others) // 3)  # of the legend
    heights = [row, BAR, CURVES]
    below = 0.4 + LEGEND * rows
    top = 0.35 if title else 0.1
    height = sum(heights) + 2 * GAP + below + top
    figure = Figure(figsize=(WIDTH, height))
    axes, edge = [], height - top
    for tall in heights:
        edge -= tall
        box = LEFT / WIDTH, edge / height, inner / WIDTH, tall / height
        axes.append(figure.add_axes(box))
        edge -= GAP
    for axis in axes:
        axis.set_xlim(0, thumbnails.duration)
    _draw_pictures(axes[0], pictures, thumbnails.duration)
    _draw_curves(axes[2], times, scores, shown, colours, names)
    if title:
        figure.suptitle(printable(title), y=1 - 0.08 / height, va='top', fontsize=11)
    if shown:
        grey = [Patch(color=OTHERS, label='other classes')] if others else []
        figure.legend(
            handles=[*axes[2].lines[::-1], *grey],
            loc='lower left',
            bbox_to_anchor=(LEFT / WIDTH, 0),
            ncols=3,
            frameon=False,
            fontsize=9,
        )
    _draw_segments(axes[1], segments, colours, names)
    save(figure, out)


def _classes(scores, segments, most):
    """Classes with a curve, the most important first."""
    durations: dict[int, float] = {}
    for segment in segments:
        length = segment['end'] - segment['start']
        durations[segment['class']] = durations.get(segment['class'], 0) + length
    chosen = sorted(durations, key=lambda label: -durations[label])
    if len(scores):
        peaks = np.nan_to_num(scores, nan=-np.inf).max(0)
        others = np.argsort(-peaks, kind='stable')[: most + len(chosen)].tolist()
        chosen += [label for label in others if label not in durations]
    return chosen[: min(most, len(COLOURS))]


def _row(thumbnails, width):
    """As many pictures as are about an inch high, and how high they are."""
    if not len(thumbnails):
        return [], 0.1
    tall, wide = thumbnails.row(1)[0].shape[:2]
    count = min(max(round(width * tall / wide), 4), MOST // 2)
    return thumbnails.row(count), min(width / count * tall / wide, 2)


def _draw_pictures(axis, pictures, duration):
    axis.axis('off')
    axis.set_ylim(0, 1)
    for i, picture in enumerate(pictures):
        left, right = (duration * (i + k) / len(pictures) for k in (0.01, 0.99))
        axis.imshow(
            picture,
            extent=(left, right, 0, 1),
            aspect='auto',
            interpolation='lanczos',
        )
    axis.set_xlim(0, duration)


def _draw_segments(axis, segments, colours, names):
    """Bars, with those labels that find room."""
    axis.set(ylim=(0, 1), yticks=[], xticks=[], facecolor='0.94')
    for side in axis.spines.values():
        side.set_visible(False)
    for segment in segments:
        start, end = segment['start'], segment['end']
        colour = colours.get(segment['class'], OTHERS)
        axis.axvspan(start, end, color=colour, alpha=0.85, linewidth=0)
        axis.axvline(start, color='white', linewidth=0.8)
        label = printable(names[segment['class']])
        text = axis.text(
            (start + end) / 2, 0.48, label, ha='center', va='center', color='white',
            fontsize=9, weight='bold', parse_math=False, clip_on=True,
        )  # fmt: skip
        text.set_fontfamily(families())
        _fit(text, axis.transData.transform([(start, 0), (end, 0)]))


def _fit(text, corners):
    """Shorten a label until it fits between two corners, or remove it."""
    room = corners[1, 0] - corners[0, 0] - 6
    label = text.get_text()
    while text.get_window_extent().width > room:
        label = label[:-1].rstrip()
        if len(label) < 3:
            text.remove()
            return
        text.set_text(f'{label}…')


def _draw_curves(axis, times, scores, shown, colours, names):
    axis.set(ylim=(0, 1.02) if _are_probabilities(scores) else None, ylabel='score')
    middles = [*times[:1], *(times[:-1] + times[1:]) / 2, *times[-1:]]
    scores = np.concatenate([scores[:1], scores, scores[-1:]])
    for label in reversed(shown):  # the most important in front
        axis.plot(middles, scores[:, label], color=colours[label], linewidth=1.4)
    for line, label in zip(reversed(axis.lines), shown):
        # a legend leaves out names that begin with an underscore
        name = printable(names[label])
        name = name if len(name) <= LONGEST else f'{name[: LONGEST - 1]}…'
        line.set_label(f' {name}' if name.startswith('_') else name)
    axis.grid(axis='y', color='0.9')
    axis.spines[['top', 'right']].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 1.5, 2, 3, 6, 10]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))


def _are_probabilities(scores):
    known = scores[~np.isnan(scores)]
    return not len(known) or (known.min() >= 0 and known.max() <= 1)


def clock(seconds: float) -> str:
    """Seconds as ``m:ss``, or ``h:mm:ss``; with a tenth where there is one."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    ending = f'{rest // 10:02d}' + (f'.{rest % 10}' if rest % 10 else '')
    if minutes < 60:
        return f'{minutes}:{ending}'
    return f'{minutes // 60}:{minutes % 60:02d}:{ending}'
