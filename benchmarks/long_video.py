"""Windows of a long video: frames per second, and memory, which has a bound.

    python benchmarks/long_video.py
    python benchmarks/long_video.py --minutes 1 10 60 --size 320 180

Makes videos of some lengths at 25 frames per second, H.264, and reads all windows of
64 frames with a stride of 32, in batches of 4. Memory is what the process grows by
while it opens the video and reads it (Linux): up to 64 MB of packets, an index of some
0.3 kB per frame, and the frames of a batch.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from common import header, machine, megabytes, row

from mmaction_videomambapro.datasets.videos import Video
from mmaction_videomambapro.datasets.videos.windows import windows

RATE, LENGTH, STRIDE, BATCH = 25, 64, 32, 4
SAMPLED = range(2, LENGTH, 4)  # 16 frames


def write_video(path: Path, minutes: float, size: tuple[int, int]) -> None:
    """A texture that drifts."""
    width, height = size
    texture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    with av.open(str(path), 'w') as container:
        options = dict(preset='veryfast', crf='30')
        stream = container.add_stream('libx264', rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        for i in range(int(minutes * 60 * RATE)):
            image = np.roll(texture // 4 + 64, (i // 2, i), (0, 1))
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read(path: Path, short_side: int) -> None:
    with Video(str(path)) as video:
        batch = []
        for window in windows(video, LENGTH, STRIDE, short_side, SAMPLED):
            batch.append(window)
            if len(batch) == BATCH:
                for each in batch:
                    each.frames(SAMPLED)
                batch.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--minutes', type=float, nargs='+', default=[1, 60])
    parser.add_argument('--size', type=int, nargs=2, default=[160, 120])
    parser.add_argument('--short-side', type=int, default=112)
    args = parser.parse_args()
    print(f'{machine()}\n')
    header('minutes', 'frames', 'file, MB', 'frames per second', 'memory, MB')
    with tempfile.TemporaryDirectory() as folder:
        for minutes in args.minutes:
            path = Path(folder) / f'{minutes}.mp4'
            write_video(path, minutes, args.size)
            frames = int(minutes * 60 * RATE)
            start = time.perf_counter()
            grown = megabytes(lambda path=path: read(path, args.short_side))
            seconds = time.perf_counter() - start
            size = path.stat().st_size / 1e6
            row(f'{minutes:g}', frames, size, frames / seconds, grown)


if __name__ == '__main__':
    main()
