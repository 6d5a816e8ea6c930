"""Frames as they come: from a camera, from a stream, or from a file that plays one."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import av
import cv2
import numpy as np

from ...errors import RunStopped, UsageError
from . import VideoError, reason_of
from .packets import MAX_PIXELS, open_container
from .rgb import ToRGB, display_matrix
from .source import Source, open_file

# 0 or /dev/video0; OpenCV reads numbers from 100 on as other things
CAMERA = re.compile(r'(?:/dev/video)?(\d{1,2})')
STREAM = re.compile(r'(rtsps?|rtmps?|https?|udp|tcp|rtp|srt)://', re.IGNORECASE)
SECRETS = re.compile(r'(?<=://).*@|[?#].*', re.DOTALL)  # of a URL, and perhaps more
OPENING = 30  # seconds that a camera or a stream may take to start
LONGEST_STEP = 1  # second between two frames; time stamps further apart have jumped
STREAM_OPTIONS = dict(
    protocol_whitelist='rtsp,rtsps,rtmp,rtmps,http,https,httpproxy,tls,tcp,udp,rtp,'
    'srtp,srt,crypto,data',  # no files, which a hostile playlist would name
    max_pixels=str(MAX_PIXELS),
    rtsp_transport='tcp',  # loses nothing, and passes firewalls
)

# when a frame is shown, in seconds, and what makes its image, if it can
LiveFrame = tuple[float, Callable[[], 'np.ndarray | None']]


@dataclass
class LiveSource:
    """A camera, a stream or a file, opened when its first frame is asked for.

    Args:
        source (str): A camera's number or device, a stream's URL, or a file.
        speed (float): How fast a recording is played. Defaults to 1.
        patience (float): Seconds to wait for a stream's next frame. Defaults to 10.
    """

    source: str
    speed: float = 1.0
    patience: float = 10.0

    def __post_init__(self):
        self.stopped = threading.Event()
        self._is_stream = bool(STREAM.match(self.source))

    @property
    def name(self) -> str:
        """What errors call it, without a password."""
        camera = CAMERA.fullmatch(self.source)
        if camera:
            return f'camera {int(camera[1])}'
        return SECRETS.sub('', self.source) if self._is_stream else self.source

    def frames(self) -> Iterator[LiveFrame]:
        """All frames, until the end or ``stopped`` is set. A recording takes its time.

        Raises:
            OSError: If a file cannot be read.
            UsageError: If it cannot be opened or played.
            RunStopped: If a stream ends; a camera just gives no more frames.
        """
        camera = CAMERA.fullmatch(self.source)
        try:
            if camera:
                yield from self._camera(int(camera[1]))
            elif self._is_stream:
                yield from self._stream()
            else:
                yield from self._file()
        except (av.FFmpegError, VideoError, cv2.error) as error:
            reason = reason_of(error)
            raise UsageError(f'{self.name} cannot be played: {reason}') from error

    def lost(self, reason: str, frames: int = 1) -> UsageError:
        """The error that ends it, after so many frames."""
        if not frames:
            return UsageError(f'{self.name} delivers no frames ({reason})')
        return RunStopped(
            f'{self.name} delivers no frames any more ({reason}): check it and its '
            'connection, and start again'
        )

    def _camera(self, number):
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        capture = cv2.VideoCapture()
        try:
            if not capture.open(number):
                raise UsageError(
                    f'{self.name} cannot be opened: plug it in, end other programs '
                    'that use it, or choose another number'
                )
            while not self.stopped.is_set():
                if capture.grab():
                    yield time.monotonic(), partial(_retrieve, capture)
                else:  # as some do at the start; whoever waits loses patience
                    self.stopped.wait(0.01)
        finally:
            capture.release()
            cv2.utils.logging.setLogLevel(level)

    def _stream(self):
        limits = OPENING, self.patience
        try:
            container = av.open(self.source, timeout=limits, options=STREAM_OPTIONS)
        except av.FFmpegError as error:
            raise UsageError(
                f'{self.name} cannot be opened: {_reason(error, OPENING)}; check the '
                'address, and whether it can be reached from here'
            ) from error
        with container:
            stream = container.streams.best('video')
            if stream is None or stream.codec_context is None:
                raise VideoError('there is no video in it')
            recorded = container.duration is not None
            try:
                yield from self._decoded(container, stream, recorded)
            except av.FFmpegError as error:
                raise self.lost(_reason(error, self.patience)) from error
            if not recorded and not self.stopped.is_set():
                raise self.lost('the stream has ended')

    def _file(self):
        with closing(Source(open_file(self.source))) as source:
            container, stream = open_container(source)
            with container:
                for frame in self._decoded(container, stream, recorded=True):
                    yield frame
                    source.restart()

    def _decoded(self, container, stream, recorded):
        """Frames at the times of their stamps, or where these jump, when they come."""
        to_rgb = ToRGB(stream.codec_context.width, stream.codec_context.height)
        period = 1 / float(stream.average_rate or 25)
        begun = came = time.monotonic()
        seconds, stamp, matrix = 0.0, None, None
        for frame in _whole_frames(container, stream):
            now = time.monotonic()
            step = period if recorded else now - came
            if None not in (stamp, frame.time):
                told = frame.time - stamp
                step = told if 0 < told <= LONGEST_STEP else step
            seconds, stamp, came = seconds + step, frame.time, now
            turn = display_matrix(frame)
            matrix = matrix if turn is None else turn  # not all frames bring it
            due = begun + seconds / self.speed if recorded else now
            if self.stopped.wait(max(0, due - now)):
                return
            yield seconds, partial(to_rgb, frame, matrix)


def _whole_frames(container, stream):
    """Frames without damage; what is lost on the way leaves gaps."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _retrieve(capture):
    found, image = capture.retrieve()
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if found else None


def _reason(error, limit):
    late = isinstance(error, av.error.ExitError)
    return f'no answer for {limit:g} s' if late else reason_of(error)
