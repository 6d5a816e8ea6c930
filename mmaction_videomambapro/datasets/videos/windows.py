"""Windows of a long video, decoded once; only frames that are in use are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from . import VideoError, one_by_one
from .reader import USUAL_FPS
from .shrink import shrink


class Window:
    """A part of a video that is read as a video of its own, from frames in memory.

    Attributes:
        start (int): Number of its first frame in the video.
        end (int): Number of the frame after its last.
        seconds (tuple[float, float]): When it starts and ends, from the video's start.
        fps (float): Of the video.
        error (VideoError | None): Why some of its frames cannot be decoded.
    """

    def __init__(
        self,
        start: int,
        end: int,
        seconds: tuple[float, float],
        fps: float,
        results: dict[int, np.ndarray | Exception],
    ) -> None:
        self.start, self.end, self.seconds, self.fps = start, end, seconds, fps
        errors = (r for r in results.values() if isinstance(r, Exception))
        self.error = next(errors, None)
        self._results = results

    def __len__(self) -> int:
        return self.end - self.start

    def frames(
        self, inds: Sequence[int], short_side: int | None = None
    ) -> list[np.ndarray]:
        """Frames by their number in the window, as :meth:`Video.frames` gives them.

        Raises:
            VideoError: If one of them cannot be decoded.
            ValueError: If one of them was not kept.
        """
        found = []
        for i in map(int, inds):
            if i not in self._results:
                raise ValueError(
                    f'frame {i} of the window at {self.seconds[0]:.1f} s was not kept'
                )
            result = self._results[i]
            if isinstance(result, Exception):
                raise VideoError(str(result))
            small = shrink(result, short_side)
            found.append(result.copy() if small is result else small)
        return found

    def close(self) -> None:
        """Forget its frames."""
        self._results = {}

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def window_starts(frames: int, length: int, stride: int) -> list[int]:
    """First frames of all windows; the last window ends with the video.

    Args:
        frames (int): Of the video. With fewer than ``length``, one window has them all.
        length (int): Frames of a window.
        stride (int): Frames from the start of one to the start of the next.

    Raises:
        ValueError: If length or stride is not positive.
    """
    if length < 1 or stride < 1:
        raise ValueError(f'length {length} and stride {stride} have to be positive')
    last = max(frames - length, 0)
    return [*range(0, last, stride), last]


def windows(
    video: object,
    length: int,
    stride: int,
    short_side: int | None = None,
    wanted: Sequence[int] | None = None,
) -> Iterator[Window]:
    """Read a video once and give its windows, in order.

    Frames stay in memory as long as a window that is in use has them, so a batch of
    windows can be collected. Besides, a video takes about 30 MB per hour. A frame that
    cannot be decoded is the ``error`` of its windows; the others are not affected.

    Args:
        video: A :class:`Video`, or what has a length, ``fps`` and ``frames`` like one.
            Nothing else may read it meanwhile.
        length (int): Frames of a window. A video with fewer is one window.
        stride (int): Frames from the start of one window to the start of the next. The
            last window ends with the video.
        short_side (int, optional): Keep frames shrunk to it. Defaults to None.
        wanted (Sequence[int], optional): Numbers of frames in a window of that length
            which will be asked for; others are not kept. Defaults to None: all.

    Yields:
        Window: Use it in a ``with`` statement.

    Raises:
        ValueError: If length or stride is not positive, or a number is not of a window.
    """
    total = len(video)
    starts = window_starts(total, length, stride)
    if wanted is None or total < length:
        wanted = range(min(length, total))
    offsets = np.unique(np.asarray(wanted, int))
    if not len(offsets) or offsets[0] < 0 or offsets[-1] >= length:
        raise ValueError(f'wanted are some of the frames 0 to {length - 1} of a window')
    needed = np.zeros(total, bool)
    for offset in offsets:
        needed[np.asarray(starts) + offset] = True
    numbers, offsets = np.flatnonzero(needed).tolist(), offsets.tolist()
    stream = getattr(video, 'stream', partial(one_by_one, video))
    results = stream(numbers, short_side)
    bounds = _bounds(video)
    waiting, kept = deque(starts), {}
    for number, result in zip(numbers, results):
        kept[number] = result
        if number == waiting[0] + offsets[-1]:
            start = waiting.popleft()
            end = min(start + length, total)
            seconds = float(bounds[start]), float(bounds[end])
            own = ((i, kept[start + i]) for i in offsets)
            window = Window(start, end, seconds, video.fps, dict(own))
            kept = {n: kept[n] for n in kept if waiting and n >= waiting[0]}
            yield window


def _bounds(video):
    """Seconds from the start at which frames begin, and the last one ends."""
    fps = video.fps or USUAL_FPS
    times = getattr(video, 'times', None)
    if times is None:
        return np.arange(len(video) + 1) / fps
    return np.append(times, times[-1] + 1 / fps) - times[0]
