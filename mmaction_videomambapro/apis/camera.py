"""Answer what a camera sees now.

A thread takes frames as they come, so a camera never waits for a model. A slow model is
given the newest frames, and never sees those that went by meanwhile.
"""

from __future__ import annotations

import atexit
import shutil
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..datasets.videos import shrink
from ..datasets.videos.live import OPENING, LiveSource
from ..datasets.videos.reader import USUAL_FPS
from ..errors import UsageError
from ..literals import printable
from .inferencer import VideoInferencer
from .inputs import Input
from .over_time import WindowModel

MOST_BYTES = 4 << 30  # of a window
CLOSEST = 0.75  # of a window's frames, in their distance: cameras are not punctual


@dataclass
class NewestFrames:
    """The last seconds of a stream: a reader, as :class:`Video` is one.

    Attributes:
        fps (float): Frames per second.
        first (int): Number of its first frame among all that were kept.
        last (int): That of its last frame.
        seconds (float): When its last frame was shown, from the first one on.
        arrived (float): When its last frame came, by ``time.monotonic()``.
    """

    images: list[np.ndarray]
    fps: float
    first: int
    last: int
    seconds: float
    arrived: float

    def __len__(self) -> int:
        return len(self.images)

    @property
    def is_whole(self) -> bool:
        """Whether frames came for all of it."""
        return self.seconds > (len(self) - 1.5) / self.fps

    def frames(
        self, inds: Sequence[int], short_side: int | None = None
    ) -> list[np.ndarray]:
        """Some frames, (H, W, 3) uint8 RGB each; no two share memory."""
        images = [self.images[int(i)] for i in inds]
        small = [shrink(image, short_side) for image in images]
        return [x.copy() if x is image else x for x, image in zip(small, images)]

    def close(self) -> None:
        """Nothing: its frames are in memory."""

    def __enter__(self) -> NewestFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FrameStream:
    """A camera, a stream or a file that plays one, to be used in a ``with`` statement.

    Models know videos of a certain rate; cameras have any, and a lower one in the dark.
    So a window has frames at even distances in time, whatever came: each is the one
    that was shown closest to its time. A slow camera's are repeated, a fast one's left
    out.

    Args:
        source (str | int): A camera's number or device (``0``, ``/dev/video0``), a
            stream's URL (``rtsp://``, ``http://``, ``udp://`` ...), or a video file,
            which is played at its own rate.
        seconds (float): Length of a window.
        fps (float): Rate of a window's frames. Defaults to 30.
        short_side (int, optional): Shrink frames with a longer one to it as they come.
            Defaults to None.
        speed (float): How fast a file is played. Defaults to 1.
        patience (float): Seconds without a frame after which a camera is lost.
            Defaults to 10.

    Raises:
        OSError: If a file cannot be read.
        UsageError: If it cannot be opened, or delivers no first frame.
    """

    def __init__(
        self,
        source: str | int,
        seconds: float,
        fps: float = 30.0,
        short_side: int | None = None,
        speed: float = 1.0,
        patience: float = 10.0,
    ) -> None:
        self.fps, self.patience = fps, patience
        self._length, self._short_side = max(1, round(seconds * fps)), short_side
        self._kept: deque[tuple[float, np.ndarray]] = deque()
        self._began = self._arrived = 0.0
        self._count, self._ended = 0, False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._source = LiveSource(str(source), speed, patience)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()
        atexit.register(self.close)  # OpenCV aborts if its thread vanishes under it
        try:
            if not self.wait(0, OPENING):
                raise self._source.lost('it has ended', 0)
        except BaseException:
            self.close()
            raise

    def newest(self) -> NewestFrames:
        """The newest window; until one is whole, it begins with repetitions."""
        with self._changed:
            kept, count, arrived = list(self._kept), self._count, self._arrived
        times = np.array([seconds for seconds, _ in kept])
        wanted = times[-1] - np.arange(self._length)[::-1] / self.fps
        closest = np.searchsorted((times[1:] + times[:-1]) / 2, wanted)
        return NewestFrames(
            images=[kept[i][1] for i in closest],
            fps=self.fps,
            first=count - len(kept) + int(closest[0]),
            last=count - 1,
            seconds=float(times[-1]) - self._began,
            arrived=arrived,
        )

    def wait(self, count: int, patience: float | None = None) -> bool:
        """Wait until more than so many frames have come.

        Args:
            count (int): Frames.
            patience (float, optional): Seconds without one that are too long. Defaults
                to the stream's.

        Returns:
            bool: Whether they have come; if not, a file has ended.

        Raises:
            RunStopped: If the camera is lost.
            UsageError: If it cannot be opened, or a file cannot be played.
            OSError: If a file cannot be read.
        """
        patience = self.patience if patience is None else patience
        with self._changed:
            in_time = self._changed.wait_for(
                lambda: self._count > count or self._ended, patience
            )
            if self._error is not None:
                raise self._error
            if not in_time:
                raise self._source.lost(f'none for {patience:g} s', self._count)
            return self._count > count

    def close(self) -> None:
        """End the thread; one that a camera holds fast ends with the process."""
        self._source.stopped.set()
        atexit.unregister(self.close)
        self._thread.join(1)

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self):
        """What the thread does."""
        try:
            with closing(self._source.frames()) as frames:
                for seconds, image in frames:
                    if self._source.stopped.is_set():
                        break
                    self._keep(seconds, image, time.monotonic())
        except Exception as error:  # whoever waits for frames raises it
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _keep(self, seconds, image, arrived):
        if self._kept and seconds - self._kept[-1][0] < CLOSEST / self.fps:
            return
        image = image()
        if image is None:
            return
        image = shrink(image, self._short_side)
        if image.nbytes * self._length > MOST_BYTES:
            raise UsageError(
                f'{self._length} frames of {image.shape[1]} x {image.shape[0]} pixels '
                f'need more than {MOST_BYTES >> 30} GB: choose a shorter window or '
                'smaller frames'
            )
        oldest = seconds - self._length / self.fps
        with self._changed:
            if not self._kept:
                self._began = seconds
            self._kept.append((seconds, image))
            while len(self._kept) > 1 and self._kept[1][0] < oldest:
                self._kept.popleft()
            self._arrived, self._count = arrived, self._count + 1
            self._changed.notify_all()


class LiveAnswer(NamedTuple):
    """An answer about a camera's last seconds.

    Attributes:
        result (dict): The answer.
        latency (float): Seconds from the arrival of the newest frame to the answer.
        rate (float): Answers per second, over the last ten.
        skipped (int): Frames so far that were in no window.
    """

    result: dict[str, Any]
    latency: float
    rate: float
    skipped: int


def answers(
    stream: FrameStream,
    answer: Callable[[NewestFrames], dict[str, Any]],
    every: float = 0.0,
) -> Iterator[LiveAnswer]:
    """Answer the newest window, again and again.

    The first answer comes once there is a whole window. The end of a file is always
    answered, even if there is less.

    Args:
        stream (FrameStream): Where frames come from.
        answer (Callable): Given a reader of the window, returns the answer.
        every (float): Seconds of the stream from one answer to the next, at least.
            Defaults to 0: there is one as soon as there is a new frame.

    Yields:
        LiveAnswer: Until a file ends.

    Raises:
        RunStopped: If the camera is lost.
    """
    seen, answered, skipped, due = 0, -1, 0, 0.0
    moments: deque[float] = deque(maxlen=11)
    more = True
    while more:
        more = stream.wait(seen)
        window = stream.newest()
        seen = window.last + 1
        if window.last == answered or (
            more and (window.seconds < due or not window.is_whole)
        ):
            continue
        if not moments:
            moments.append(time.monotonic())
        result = answer(window)
        moments.append(time.monotonic())
        rate = (len(moments) - 1) / max(1e-9, moments[-1] - moments[0])
        skipped += max(0, window.first - answered - 1)
        answered, due = window.last, window.seconds + every
        yield LiveAnswer(result, moments[-1] - window.arrived, rate, skipped)


def watch(
    inferencer: VideoInferencer,
    source: str | int,
    window: float | None = None,
    every: float = 0.0,
    top: int | None = 5,
    speed: float = 1.0,
) -> Iterator[LiveAnswer]:
    """Ask a model what a camera sees now, again and again.

    Args:
        inferencer (VideoInferencer): The model.
        source (str | int): See :class:`FrameStream`.
        window (float, optional): Seconds of a window. Defaults to None: see
            :class:`WindowModel`.
        every (float): Seconds from one answer to the next, at least. Defaults to 0.
        top (int, optional): How many classes to name. Defaults to 5; None for all.
        speed (float): How fast a file is played. Defaults to 1.

    Yields:
        LiveAnswer: Until a file ends.

    Raises:
        OSError: If a file cannot be read.
        UsageError: If there is no such camera, or it is lost.
    """
    model = WindowModel(inferencer, window)
    name = Input(str(source))

    def answer(reader: NewestFrames) -> dict[str, Any]:
        (scores,) = model.ask([reader])
        if isinstance(scores, str):
            return inferencer.answer(name, None, scores, top)
        return inferencer.answer(name, scores, None, top)

    seconds = model.length(USUAL_FPS) / USUAL_FPS
    with FrameStream(source, seconds, USUAL_FPS, model.short_side, speed) as stream:
        yield from answers(stream, answer, every)


def status_line(result: dict[str, Any], latency: float, rate: float) -> str:
    """One line of a terminal that replaces the one before.

    Args:
        result (dict): An answer: 'labels' and 'scores', best first, or an 'error'.
        latency (float): Seconds.
        rate (float): Answers per second.
    """
    best = zip(result['labels'][:3], result['scores'])
    text = ', '.join(f'{label} {score:.0%}' for label, score in best)
    text = printable(f'{latency:.2f} s, {rate:.1f}/s: {result.get("error") or text}')
    room = shutil.get_terminal_size().columns - 1
    line = ''
    for char in text:
        room -= 2 if unicodedata.east_asian_width(char) in 'WF' else 1
        if room < 0:
            break
        line += char
    return f'\r{line}{" " * room}'
