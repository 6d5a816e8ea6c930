"""Readers of other libraries, which are exact on plain files only.

They may die or never return, so they run in a process of their own (``isolated.py``).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np


class Decord:
    """Fast; decord2 is its maintained drop-in and knows AV1 as well."""

    def __init__(self, source: str | bytes) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)  # errors say it too
        if isinstance(source, bytes):
            source = io.BytesIO(source)
        self.reader = decord.VideoReader(source, num_threads=1)
        self.fps = self.reader.get_avg_fps()

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        yield from self.reader.get_batch(inds).asnumpy()

    def close(self) -> None:
        del self.reader


class OpenCV:
    """Reads from the first frame on; it never seeks, since a seek loses frames."""

    def __init__(self, source: str | bytes) -> None:
        if isinstance(source, bytes):
            raise OSError('OpenCV reads only files')
        self.source = source
        self._open()
        self.fps = self.capture.get(self.cv2.CAP_PROP_FPS)

    def __len__(self) -> int:
        return max(0, int(self.capture.get(self.cv2.CAP_PROP_FRAME_COUNT)))

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        if inds[0] < self.position:
            self.close()
            self._open()
        for i in inds:
            while self.position <= i:
                if not self.capture.grab():
                    raise OSError(f'it ends after {self.position} frames')
                self.position += 1
            found, frame = self.capture.retrieve()
            if not found:
                raise OSError(f'frame {i} cannot be decoded')
            yield self.cv2.cvtColor(frame, self.cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        self.capture.release()

    def _open(self):
        import cv2

        self.cv2 = cv2
        options = [cv2.CAP_PROP_N_THREADS, 1]
        self.capture = cv2.VideoCapture(self.source, cv2.CAP_FFMPEG, options)
        if not self.capture.isOpened():
            raise OSError('it cannot be opened')
        self.position = 0  # of the frame that is grabbed next


class TorchCodec:
    """PyTorch's own; it needs FFmpeg's libraries on the system."""

    def __init__(self, source: str | bytes) -> None:
        from torchcodec.decoders import VideoDecoder

        self.decoder = VideoDecoder(
            source, dimension_order='NHWC', num_ffmpeg_threads=1, seek_mode='exact'
        )
        self.fps = self.decoder.metadata.average_fps or 0.0

    def __len__(self) -> int:
        return len(self.decoder)

    def read(self, inds: Sequence[int]) -> Iterator[np.ndarray]:
        yield from self.decoder.get_frames_at(list(inds)).data.numpy()

    def close(self) -> None:
        del self.decoder
