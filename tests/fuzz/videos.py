"""Damage videos at random: each gives frames or a reason, and soon.

For longer than in the suite: python -m tests.fuzz.videos --minutes 20 --seed 1
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from random import Random

import numpy as np

from mmaction_videomambapro.datasets.videos import Video, VideoError
from tests.datasets.videos.video_kinds import KINDS
from tests.fuzz.harness import main

ALLOWED = ('compile',)  # Cython does for the traceback of an error
PIECES = [
    *(b'\0' * 4, b'\xff' * 4, b'\x7f\xff\xff\xff', b'\0\0\0\1', b'\0\0\1\xba'),
    *(
        b'moov',
        b'mdat',
        b'trak',
        b'elst',
        b'RIFF',
        b'movi',
        b'idx1',
        b'\x1a\x45\xdf\xa3',
    ),
    *(b'\0\0\1\xb6', b'\0\0\1\xb3', b'\0\0\1\0', b'\0\0\0\1\x67', b'G@\0', b'FLV\1'),
]


@functools.cache
def sources() -> list[bytes]:
    """One video of each container and codec."""
    kinds = {(kind.container, kind.codec): kind for kind in reversed(KINDS)}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds.values():
            kind.make(Path(folder) / kind.filename)
        return [path.read_bytes() for path in sorted(Path(folder).iterdir())]


def damaged(random: Random) -> bytes:
    """One of the files with a few faults, mostly at the ends, where headers are."""
    data = bytearray(random.choice(sources()))
    for _ in range(random.choice([1, 1, 2, 5, 20])):
        end = random.choice([len(data), min(len(data), 1000)])
        at = random.randrange(end + 1)
        at = random.choice([at, max(0, len(data) - at)])
        length = random.choice([1, 2, 4, 100, 2000])
        kind = random.randrange(6)
        if kind == 0:
            data[at : at + 1] = random.randbytes(1)
        elif kind == 1:
            piece = random.choice(PIECES)
            data[at : at + len(piece)] = piece
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = random.choice([random.randbytes(length), data[:length]])
        elif kind == 4:
            data[at : at + length] = bytes(length)
        elif random.random() < 0.3:
            del data[at:]
    return bytes(data)


def trial(data: bytes) -> str:
    """Open a video and read frames from all parts of it."""
    file = os.memfd_create('video')
    try:
        os.write(file, data)
        with Video(f'/proc/self/fd/{file}') as video:
            inds = np.linspace(0, len(video) - 1, 16).astype(int)
            frames = video.frames(inds, short_side=32)
            video.traits  # noqa: B018
        assert len({frame.shape for frame in frames}) == 1
        return 'read'
    except VideoError as error:
        return 'refused' if '\n' not in str(error) else 'refused in several lines'
    finally:
        os.close(file)


if __name__ == '__main__':
    main(damaged, trial, 'damaged videos', ALLOWED)
