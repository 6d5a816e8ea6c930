"""Videos whose frame i is the i-th that a player shows, or an error."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import av
import numpy as np

from .plain import why_not_plain
from .reader import Reader, Reindexed
from .shrink import shrink
from .source import Source, VideoError, fetch, open_file

__all__ = ['BACKENDS', 'DEFAULT_BACKENDS', 'Video', 'VideoError', 'installed', 'shrink']

BACKENDS = dict(pyav='av', decord='decord', opencv='cv2', torchcodec='torchcodec')
FOREIGN = dict(
    decord='.foreign:Decord', opencv='.foreign:OpenCV', torchcodec='.foreign:TorchCodec'
)
DEFAULT_BACKENDS = ('pyav',)


class Video:
    """A video, to be used in a ``with`` statement.

    Frame i is the i-th in order of display of the video stream that a player shows,
    upright, as RGB by the file's own colour range and matrix. There are as many as the
    length says. A file of which this cannot be said is refused.

    PyAV does this for all files (see :class:`Reader`). The other decoders are exact
    with plain files, and are given no others.

    Args:
        path (str): A regular file, or what MMEngine's file backends know, as ``s3://``.
        backends (Sequence[str]): Names in ``BACKENDS``, in the order in which they are
            tried. Packages that are missing are passed over. Defaults to PyAV.

    Attributes:
        path (str): As given.
        backend (str): Name of the decoder in use.
        failures (list[str]): Why those before it are not.

    Raises:
        OSError: If the file cannot be read at all.
        VideoError: If none of the decoders reads it, with the reasons.
    """

    def __init__(self, path: str, backends: Sequence[str] = DEFAULT_BACKENDS) -> None:
        self._backends = iter(installed(backends))
        self.path, self.failures, self.backend = path, [], ''
        self._content = self._exact = self._foreign = None
        self._lock = threading.Lock()
        if '://' in path and not os.path.exists(path):
            self._content = fetch(path)
        self._source = Source(self._content or open_file(path))
        try:
            self._exact = Reader(self._source)
        except Exception as error:  # FFmpeg's are of many types
            self.close()
            raise self._given_up(reason_of(error)) from error
        if not self._open_next():
            self.close()
            raise self._given_up()

    def __len__(self) -> int:
        return len(self._exact)

    @property
    def fps(self) -> float:
        """Frames per second, on average; 0 where the file does not say."""
        return self._exact.fps

    @property
    def told(self) -> int | None:
        """How many frames the container says there are, where it does."""
        return self._exact.told

    @property
    def traits(self) -> frozenset[str]:
        """What is unusual: 'variable rate', 'rotated', 'interlaced', 'HDR'."""
        return self._exact.traits

    @property
    def times(self) -> np.ndarray:
        """Seconds at which frames are shown, ascending; the first need not be 0."""
        return self._exact.times

    def frames(
        self, inds: Sequence[int], short_side: int | None = None
    ) -> list[np.ndarray]:
        """Read some frames and no others.

        Args:
            inds (Sequence[int]): Numbers of frames from 0, in any order. Up to a second
                past the end they give the last frame, since some lists count too many.
            short_side (int, optional): Shrink frames with a longer one to it, as they
                come, bilinearly. Defaults to None.

        Returns:
            list[np.ndarray]: (H, W, 3) each, uint8, RGB; no two share memory.

        Raises:
            VideoError: If one of them cannot be decoded, or lies further past the end.
            ValueError: If an index is negative.
        """
        with self._lock:  # PyAV decodes without the interpreter's
            return self._frames(inds, short_side)

    def stream(
        self, inds: Sequence[int], short_side: int | None = None
    ) -> Iterator[np.ndarray | VideoError]:
        """Give frames one after the other, as :meth:`frames` does, keeping none.

        Each is decoded at most once. Nothing else may be read meanwhile.

        Args:
            inds (Sequence[int]): Numbers of frames, ascending, each once, below the
                length.
            short_side (int, optional): As of :meth:`frames`. Defaults to None.

        Yields:
            np.ndarray | VideoError: A frame, or why it cannot be decoded.
        """
        if self._foreign:
            yield from one_by_one(self, inds, short_side)
            return
        for result in self._exact.stream(inds):
            if isinstance(result, Exception):
                yield self._given_up(f'{self.backend}: {reason_of(result)}')
            else:
                yield shrink(result, short_side)

    def verify(self) -> None:
        """Decode every frame once, keeping none.

        Raises:
            VideoError: If one of them is damaged.
        """
        with self._lock:
            try:
                self._exact.verify()
            except Exception as error:
                raise self._given_up(f'pyav: {reason_of(error)}') from error

    def _frames(self, inds, short_side):
        wanted = sorted({int(i) for i in inds})
        if wanted and wanted[0] < 0:
            raise ValueError(f'there is no frame {wanted[0]}')
        end = len(self) - 1
        if wanted and wanted[-1] > end + max(1, self.fps):
            raise VideoError(
                f'{self.path} has no frame {wanted[-1]}, it ends after {end + 1} frames'
            )
        wanted = sorted({min(i, end) for i in wanted})
        found = None
        while found is None:
            try:
                found = dict(zip(wanted, self._read(wanted, short_side), strict=True))
            except Reindexed:
                return self._frames(inds, short_side)
            except Exception as error:
                reason = f'{self.backend}: {reason_of(error)}'
                if not self._open_next(reason):
                    raise self._given_up(reason) from error
        results, used = [], set()
        for i in (min(int(i), end) for i in inds):
            results.append(found[i].copy() if i in used else found[i])
            used.add(i)
        return results

    def _read(self, inds, short_side):
        if self._foreign:
            return self._foreign.read(inds, short_side)
        return (shrink(frame, short_side) for frame in self._exact.read(inds))

    def close(self) -> None:
        for part in (self._foreign, self._exact, self._source):
            if part is not None:
                part.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_next(self, failure=None):
        """Take the next decoder in place of one that failed, if there is one."""
        for name in self._backends:
            try:
                reader = None if name == 'pyav' else self._open_foreign(name)
            except Exception as error:
                self.failures.append(f'{name}: {reason_of(error)}')
                continue
            if failure is not None:
                self.failures.append(failure)
            if self._foreign is not None:
                self._foreign.close()
            self._foreign, self.backend = reader, name
            return True
        return False

    def _open_foreign(self, name):
        reason = why_not_plain(self._exact, name)
        if reason:
            raise VideoError(f'not asked, for {reason}')
        self._exact.verify()
        path = os.path.abspath(self.path)
        if self._content is None and not is_safe_name(path):
            with open_file(path) as file:
                self._content = file.read()
        from .isolated import Isolated  # it needs a Unix

        reader = Isolated(FOREIGN[name], self._content or path)
        if len(reader) == len(self):
            return reader
        reader.close()
        raise VideoError(f'it finds {len(reader)} frames, there are {len(self)}')

    def _given_up(self, *reasons):
        reasons = '; '.join([*self.failures, *reasons])
        return VideoError(f'{self.path} cannot be decoded: {reasons}')


def one_by_one(
    reader: Video, inds: Sequence[int], short_side: int | None = None
) -> Iterator[np.ndarray | VideoError]:
    """What :meth:`Video.stream` gives, of anything that has ``frames``."""
    for i in inds:
        try:
            result = reader.frames([i], short_side)[0]
        except (VideoError, OSError) as error:
            result = error
        yield result


def reason_of(error: Exception) -> str:
    """A decoder's error in a few words, in FFmpeg's where it said more."""
    if isinstance(error, av.FFmpegError):
        return (error.log and error.log[2]) or error.strerror
    return str(error).strip().split('\n')[-1].split('] ')[-1] or type(error).__name__


def is_safe_name(path: str) -> bool:
    """Whether all decoders can be given a name: UTF-8, and no pattern of images."""
    return not re.search(r'[\ud800-\udfff]|%\d*d', path)


def installed(backends: Sequence[str]) -> list[str]:
    """The decoders whose packages are installed.

    Args:
        backends (Sequence[str]): Names in ``BACKENDS``.

    Returns:
        list[str]: Those that can be used, in the same order.

    Raises:
        ValueError: If a name is unknown, or none is installed.
    """
    unknown = [name for name in backends if name not in BACKENDS]
    if unknown:
        raise ValueError(
            f'there is no decoder {unknown[0]!r}, expected some of '
            f'{", ".join(BACKENDS)}'
        )
    found = [name for name in backends if find_spec(BACKENDS[name])]
    if not found:
        packages = ', '.join(BACKENDS[name] for name in backends)
        raise ValueError(f'no decoder is installed: {packages}')
    return found
