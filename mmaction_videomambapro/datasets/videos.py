"""Videos through several decoders: where one fails, the next is tried."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import cv2
import mmcv
import numpy as np
from mmengine import fileio

BATCH = 16  # frames that decord returns at once


class VideoError(RuntimeError):
    """A video that none of the decoders reads."""


class EndOfVideo(Exception):
    """A video has fewer frames than its file says."""

    def __init__(self, frames: int) -> None:
        super().__init__(f'it ends behind {frames} frames')
        self.frames = frames


class Decord:
    """The fastest; decord2 is its maintained drop-in, and knows AV1 as well."""

    package = 'decord'

    def __init__(self, source: str | io.BytesIO) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)  # we tell the reason
        with _silent_stderr():
            self.reader = decord.VideoReader(source, num_threads=1)
        self.fps = self.reader.get_avg_fps()

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        for i in range(0, len(inds), BATCH):
            yield from self.reader.get_batch(inds[i : i + BATCH]).asnumpy()

    def close(self) -> None:
        del self.reader


class PyAV:
    """FFmpeg with all its formats; reads from the first frame on."""

    package = 'av'

    def __init__(self, source: str | io.BytesIO) -> None:
        import av

        self.container = av.open(source)
        self.stream = self.container.streams.video[0]
        self.stream.thread_type = 'NONE'
        self.fps = float(self.stream.average_rate or 0)
        self.frames = self.stream.frames
        if not self.frames:  # not told in webm and others
            packets = self.container.demux(self.stream)
            self.frames = sum(packet.size > 0 for packet in packets)

    def __len__(self) -> int:
        return self.frames

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        self.container.seek(0)
        i = -1
        for i, frame in enumerate(self.container.decode(self.stream)):
            if i in inds:
                yield frame.to_ndarray(format='rgb24')
            if i == inds[-1]:
                return
        raise EndOfVideo(i + 1)

    def close(self) -> None:
        self.container.close()


class OpenCV:
    """Always there; knows fewer formats, and reads from the first frame on."""

    package = 'cv2'

    def __init__(self, source: str | io.BytesIO) -> None:
        if not isinstance(source, str):
            raise OSError('OpenCV reads only files')
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # we tell the reason
        options = [cv2.CAP_PROP_N_THREADS, 1]
        self.capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, options)
        if not self.capture.isOpened():
            raise OSError('it can not be opened')
        self.fps = self.capture.get(cv2.CAP_PROP_FPS)

    def __len__(self) -> int:
        return max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        self.capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        for i in range(inds[-1] + 1):
            if not self.capture.grab():
                raise EndOfVideo(i)
            if i in inds:
                yield cv2.cvtColor(self.capture.retrieve()[1], cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        self.capture.release()


class TorchCodec:
    """PyTorch's own; needs FFmpeg's libraries on the system."""

    package = 'torchcodec'

    def __init__(self, source: str | io.BytesIO) -> None:
        from torchcodec.decoders import VideoDecoder

        self.decoder = VideoDecoder(
            source, dimension_order='NHWC', num_ffmpeg_threads=1
        )
        self.fps = self.decoder.metadata.average_fps

    def __len__(self) -> int:
        return len(self.decoder)

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        for i in range(0, len(inds), BATCH):
            frames = self.decoder.get_frames_at(list(inds[i : i + BATCH]))
            yield from frames.data.numpy()

    def close(self) -> None:
        del self.decoder


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what a C library prints itself of a file that it does not read."""
    try:
        own = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        with open(os.devnull, 'wb') as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


BACKENDS = dict(decord=Decord, pyav=PyAV, opencv=OpenCV, torchcodec=TorchCodec)
DEFAULT_BACKENDS = 'decord', 'pyav', 'opencv'


class Video:
    """A video, opened by the first decoder that can; use it in a ``with`` statement.

    Args:
        path (str): A file, or what MMEngine's file backends know, as ``s3://``.
        backends (Sequence[str]): Names in ``BACKENDS``, in the order in which they
            are tried. Packages that are missing are passed over.
            Defaults to decord, PyAV, OpenCV.

    Attributes:
        backend (str): Name of the decoder in use.

    Raises:
        OSError: If the file can not be read at all.
        VideoError: If none of the decoders reads it, with their reasons.
    """

    def __init__(self, path: str, backends: Sequence[str] = DEFAULT_BACKENDS) -> None:
        self.path, self.failures, self._reader = path, [], None
        if '://' in path and not os.path.exists(path):
            self._content = fileio.get(path)
            size = len(self._content)
        else:
            # absolute, for FFmpeg takes what stands in front of a colon for a protocol
            self._source, self._content = os.path.abspath(path), None
            with open(path, 'rb') as file:  # the system's error is the clearest
                size = os.fstat(file.fileno()).st_size
                if _is_no_name(self._source):
                    self._content = file.read()
        if size == 0:
            raise VideoError(f'{path} is empty')
        self._backends = iter(installed(backends))
        self._open_next()

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def fps(self) -> float:
        """Frames a second, on average."""
        return self._reader.fps

    def frames(
        self, inds: Sequence[int], short_side: int | None = None
    ) -> list[np.ndarray]:
        """Read some frames and no others.

        Args:
            inds (Sequence[int]): Numbers of frames from 0, in any order.
            short_side (int, optional): Shrink frames with a longer one to it, as they
                come, bilinearly. Defaults to None.

        Returns:
            list[np.ndarray]: (H, W, 3) each, uint8, RGB; no two share memory.

        Raises:
            VideoError: If no decoder reads them all. Where a video ends up to a
                second before it should, its last frame takes the place of the others.
        """
        wanted = sorted({int(i) for i in inds})
        found = None
        while found is None:
            try:
                found = self._read(wanted, short_side)
            except Exception as error:  # decoders raise whatever they like
                self._failed(error)
                self._open_next()
        results, used = [], set()
        for i in map(int, inds):
            frame = found[i]
            results.append(frame.copy() if id(frame) in used else frame)
            used.add(id(frame))
        return results

    def _read(self, wanted, short_side):
        found = {}
        try:
            for i, frame in zip(wanted, self._reader.read(wanted), strict=True):
                found[i] = shrink(frame, short_side)
        except EndOfVideo as end:
            if not found or len(self) - end.frames > max(1, self.fps):
                raise
            last = found[max(found)]
            found.update((i, last) for i in wanted[len(found) :])
        return found

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_next(self):
        for name in self._backends:
            self.backend = name
            content = self._content
            source = self._source if content is None else io.BytesIO(content)
            try:
                reader = BACKENDS[name](source)
                if len(reader) > 0:
                    self._reader = reader
                    return
                raise VideoError('it has no frames')
            except Exception as error:
                self._failed(error)
        raise VideoError(f'{self.path} can not be decoded: {"; ".join(self.failures)}')

    def _failed(self, error):
        self.close()
        reason = str(error).strip().split('\n')[-1].split('] ')[-1]
        self.failures.append(f'{self.backend}: {reason or type(error).__name__}')


def _is_no_name(path):
    """Whether decoders cannot be given this name: not UTF-8, or a pattern of images."""
    return bool(re.search(r'[\ud800-\udfff]|%\d*d', path))


def installed(backends: Sequence[str]) -> list[str]:
    """Those whose packages are there.

    Raises:
        ValueError: If a name is unknown, or nothing is left.
    """
    unknown = [name for name in backends if name not in BACKENDS]
    if unknown:
        raise ValueError(
            f'there is no decoder {unknown[0]!r}, expected some of '
            f'{", ".join(BACKENDS)}'
        )
    found = [name for name in backends if find_spec(BACKENDS[name].package)]
    if not found:
        packages = ', '.join(BACKENDS[name].package for name in backends)
        raise ValueError(f'no decoder is installed: {packages}')
    return found


def shrink(frame: np.ndarray, short_side: int | None) -> np.ndarray:
    """A frame whose shorter side is at most ``short_side``, its shape kept."""
    if short_side is None or min(frame.shape[:2]) <= short_side:
        return frame
    return mmcv.imrescale(frame, (np.inf, short_side))
