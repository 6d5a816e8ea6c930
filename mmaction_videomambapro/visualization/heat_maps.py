"""Draws what in the frames of a clip speaks for a class, and what against it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..errors import UsageError
from ..files import replacing
from .annotated_video import QUALITY, Strip
from .pictures import save

MOST = 8  # frames in a row
WIDTH, LEFT, RIGHT = 12, 1, 1.8  # inches
TALLEST, CURVE, GAP = 2.4, 1.3, 0.08
NARROWEST = 7
SIDE = 256  # pixels that the shorter side of a frame has at least
SLOWEST = 4.0  # seconds that a film lasts at least
STRONGEST = 0.75  # how much of the frame a colour covers at most
FOR, AGAINST = np.array([203, 24, 29]), np.array([33, 102, 199])
MEANING = 'speaks for the class', 'no effect', 'speaks against it'


def check_ending(out: str | PathLike) -> None:
    """Make sure that a file's ending is one of those that are written.

    Raises:
        UsageError: If it is neither a picture's nor ``.mp4``.
    """
    known = [*FigureCanvasAgg.filetypes, 'mp4']
    if Path(out).suffix.removeprefix('.').lower() not in known:
        raise UsageError(f'{out} must end in .{", .".join(sorted(known))}')


def draw_heat_maps(
    frames: np.ndarray,
    maps: Mapping[str, np.ndarray],
    out: str | PathLike,
    title: str = '',
    note: str = '',
    times: np.ndarray | None = None,
    words: tuple[str, ...] = MEANING,
) -> None:
    """Draw frames, maps over them, and the sum of the first map over time.

    Every row of maps has a scale of its own.

    Args:
        frames (np.ndarray): (T, H, W, 3) uint8 RGB, as the model saw them.
        maps (Mapping[str, np.ndarray]): (T', H', W'), signed, by what stands beside it.
            A map covers the clip evenly.
        out (str | PathLike): The picture; its extension selects the format.
        title (str): Above all. Defaults to none.
        note (str): Small, below all. Defaults to none.
        times (np.ndarray, optional): Seconds at which frames are shown. Defaults
            to None: frames are numbered.
        words (tuple[str, ...]): What values above 0, of 0 and below 0 mean. Defaults to
            MEANING; the last is not needed where there are none.
    """
    first = next(iter(maps.values()))
    count = min(len(frames), MOST)
    shown = _most_decisive(first, len(frames), count)
    tall, wide = frames.shape[1:3]
    column = min((WIDTH - LEFT - RIGHT) / count, TALLEST * wide / tall)
    inner, row = column * count, column * tall / wide
    heights = [row] * (1 + len(maps)) + [CURVE]
    top, below = (0.5 if title else 0.1) + 0.2 * (len(frames) > count), 0.75
    height = sum(heights) + GAP * len(maps) + 3 * GAP + top + below
    width = max(LEFT + inner + RIGHT, NARROWEST)
    figure = Figure(figsize=(width, height))

    def add(left, edge, wide, tall):
        box = left / width, edge / height, wide / width, tall / height
        return figure.add_axes(box)

    def moment(t):
        return str(t + 1) if times is None else _clock(times[t])

    edge, axes = height - top, []
    for i, each in enumerate(heights):
        edge -= each
        axes.append(add(LEFT, edge, inner, each))
        edge -= GAP * (1 if i < len(maps) else 3)
    large = [_enlarge(frames[t]) for t in shown]
    _draw_row(axes[0], large)
    _name(axes[0], 'frames')
    signed = any(values.min() < 0 for values in maps.values())
    for axis, (name, values) in zip(axes[1:], maps.items()):
        values = scaled(values)
        _draw_row(
            axis,
            [paint(x, _at(values, t, len(frames))) for x, t in zip(large, shown)],
        )
        _name(axis, name)
    middle = axes[1].get_position()
    bar = add(LEFT + inner + 0.15, middle.y0 * height + 0.08 * row, 0.16, 0.84 * row)
    _draw_legend(bar, words, signed)
    _draw_sums(axes[-1], first, len(frames))
    ticks = shown
    if len(frames) > count:
        for i, t in enumerate(shown):
            axes[0].text(i + 0.5, 1.02, moment(t), size=9, ha='center', va='bottom')
        ticks = np.linspace(0, len(frames) - 1, count).round().astype(int).tolist()
    axes[-1].set(xticks=[t + 0.5 for t in ticks], xticklabels=map(moment, ticks))
    axes[-1].set_xlabel('frame' if times is None else 'time in the video', size=9)
    if title:
        figure.text(
            LEFT / width, 1 - 0.1 / height, title, va='top', size=13, weight='bold'
        )
    if note:
        figure.text(LEFT / width, 0.1 / height, note, va='bottom', size=9, color='0.4')
    save(figure, out)


def film_heat_maps(
    frames: np.ndarray,
    values: np.ndarray,
    out: str | PathLike,
    title: str = '',
    times: np.ndarray | None = None,
    words: tuple[str, ...] = MEANING,
) -> None:
    """Write the clip, with the map beside it, as H.264 in mp4.

    Below them is the sum of the map over time. Short clips are slowed down.

    Args:
        frames (np.ndarray): (T, H, W, 3) uint8 RGB, as the model saw them.
        values (np.ndarray): (T', H', W'), signed.
        out (str | PathLike): A file that ends in ``.mp4``. It is complete or not there.
        title (str): Below the clip. Defaults to none.
        times (np.ndarray, optional): Seconds at which frames are shown.
            Defaults to None.
        words (tuple[str, ...]): What values above 0, of 0 and below 0 mean. Defaults to
            MEANING; the last is not needed where there are none.

    Raises:
        OSError: If the file cannot be written.
    """
    caption = f'{title}\nred {words[0]}'
    if values.min() < 0:
        caption += f', blue {words[2]}'
    sums = values.sum((1, 2))
    maps = scaled(values)
    length = 0.0
    if times is not None and len(times) > 1:
        length = (times[-1] - times[0]) * len(times) / (len(times) - 1)
    rate = Fraction(len(frames) / max(length, SLOWEST)).limit_denominator(1001)
    strip = None
    with (
        replacing(out, 'wb') as file,
        av.open(file, 'w', format='mp4') as output,
    ):
        stream = output.add_stream('h264', rate=rate, options=QUALITY)
        for t, frame in enumerate(frames):
            large = _enlarge(frame)
            pair = np.hstack([large, paint(large, _at(maps, t, len(frames)))])
            chart = _chart(sums, (t + 0.5) / len(frames), pair.shape[1])
            foot = np.zeros((len(large) // 4, pair.shape[1], 3), np.uint8)
            image = np.vstack([pair, chart, foot])
            image = image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2].copy()
            strip = strip or Strip(caption, image.shape)
            strip.put_on(image)
            if not t:
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = 'yuv420p'
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        output.mux(stream.encode())


def scaled(values: np.ndarray) -> np.ndarray:
    """A map with most of its values between -1 and 1, and its zero kept.

    Few patches may be off the scale, but what is small beside them stays so.
    """
    values = np.asarray(values, np.float32)
    size = np.abs(values)
    return values / (max(np.quantile(size, 0.995), size.max() / 5) or 1)


def paint(frame: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lay colours over a frame, which becomes grey.

    Args:
        frame (np.ndarray): (H, W, 3) uint8 RGB.
        values (np.ndarray): (H', W') of a map: 1 is red, -1 is blue, 0 has no colour.
    """
    values = cv2.resize(np.asarray(values, np.float32), frame.shape[1::-1])
    values = values.clip(-1, 1)[..., None]
    grey = 50 + 0.75 * (frame @ np.array([0.299, 0.587, 0.114]))[..., None]
    cover = STRONGEST * np.abs(values)
    painted = (1 - cover) * grey + cover * np.where(values > 0, FOR, AGAINST)
    return painted.round().astype(np.uint8)


def _most_decisive(values, length, count):
    """Of as many equal parts of a clip, the frame whose map has the largest values."""
    sizes = [np.abs(_at(values, t, length)).sum() for t in range(length)]
    parts = np.array_split(np.arange(length), count)
    return [max(part.tolist(), key=lambda t: sizes[t]) for part in parts]


def _at(values, t, length):
    """The part of a map that belongs to a frame."""
    return values[t * len(values) // length]


def _enlarge(frame):
    """Small frames larger, so that maps over them are smooth."""
    scale = SIDE / min(frame.shape[:2])
    if scale <= 1:
        return np.ascontiguousarray(frame)
    size = [round(scale * x) for x in frame.shape[1::-1]]
    return cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)


def _draw_row(axis, images):
    axis.axis('off')
    for i, image in enumerate(images):
        axis.imshow(
            image,
            extent=(i + 0.015, i + 0.985, 0, 1),
            aspect='auto',
            interpolation='lanczos',
        )
    axis.set(xlim=(0, len(images)), ylim=(0, 1))


def _name(axis, text):
    axis.annotate(
        text, (0, 0.5), (-10, 0), 'axes fraction', 'offset points',
        ha='right', va='center', size=10,
    )  # fmt: skip


def _draw_legend(axis, words, signed):
    """The colours as they look on a grey frame, with words."""
    lowest = -1 if signed else 0
    values = np.linspace(1, lowest, 256)[:, None]
    axis.imshow(
        paint(np.full((256, 8, 3), 128, np.uint8), values),
        extent=(0, 1, lowest, 1),
        aspect='auto',
    )
    labels = {1: words[0], 0: words[1]}
    if signed:
        labels[-1] = words[2]
    axis.set(xticks=[], yticks=list(labels))
    axis.set_yticklabels(labels.values(), size=9)
    axis.yaxis.tick_right()
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)


def _draw_sums(axis, values, length):
    """Bars of what is above and below 0 at each moment, and dots of both together."""
    width = length / len(values)
    middles = (np.arange(len(values)) + 0.5) * width
    above, below = (x.sum((1, 2)) for x in (values.clip(0), values.clip(max=0)))
    for heights, colour in ((above, FOR), (below, AGAINST)):
        axis.bar(middles, heights, 0.94 * width, color=colour / 255, alpha=0.55)
    if below.sum() < -0.02 * above.sum():  # else it is that of the bars
        style = 'o-' if len(values) <= 2 * MOST else '-'
        axis.plot(middles, above + below, style, color='0.15', lw=1.2, ms=4)
        _at_end(axis, middles, above + below)
    axis.axhline(0, color='0.3', linewidth=0.8)
    axis.set_xlim(0, length)
    axis.tick_params(labelsize=9)
    axis.grid(axis='y', color='0.9')
    axis.set_axisbelow(True)
    axis.spines[['top', 'right']].set_visible(False)
    axis.set_ylabel('sum of the map', size=10)


def _clock(seconds):
    """Seconds as ``m:ss.ss``; a clip is short."""
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    return f'{minutes}:{hundredths / 100:05.2f}'


def _at_end(axis, middles, sums):
    axis.annotate(
        'both together', (1, sums[-1]), (8, 0), ('axes fraction', 'data'),
        'offset points', va='center', size=9, annotation_clip=False,
    )  # fmt: skip


def _chart(sums, part, width):
    """Bars of the sums, (64, width, 3), with the one of a moment bright."""
    image = np.full((64, width, 3), 24, np.uint8)
    heights = np.round(30 * sums / (np.abs(sums).max() or 1)).astype(int)
    edges = np.linspace(0, width, len(sums) + 1).round().astype(int)
    now = int(part * len(sums))
    image[31:33] = 90
    for i, (left, right, tall) in enumerate(zip(edges[:-1], edges[1:], heights)):
        colour = FOR if tall > 0 else AGAINST
        rows = slice(32 - tall, 32) if tall > 0 else slice(32, 32 - tall)
        image[rows, left + 1 : right - 1] = colour if i == now else colour // 2
        if i == now:
            image[:2, left + 1 : right - 1] = 255
    return image
