"""The data pipeline: exact decoders, clips per second, workers that are needed.

    python benchmarks/data.py
    python benchmarks/data.py --clips-per-second 200   # what the model takes
    python benchmarks/data.py --table                  # and write it to docs/data.md

Makes some videos of each kind in ``tests/datasets/videos/video_kinds.py`` and prints
how many frames each decoder gets wrong. Makes videos of 10 s in H.264 and HEVC, 320 x
240 and 1280 x 720, and prints for one process the clips of 16 frames that each decoder
gives, from a stretch of 64 frames and from the whole video; the time of every transform
of a training pipeline; RandAugment's time for operations that are all applied; and the
workers that feed a model.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from common import header, machine, milliseconds, row
from decoding import compare_speed, print_kinds, print_survey, survey, write_table
from mmaction.registry import TRANSFORMS
from mmengine.registry import init_default_scope

from mmaction_videomambapro.datasets.transforms.augment_operations import (
    OPERATIONS,
    Draw,
)
from mmaction_videomambapro.datasets.transforms.rand_augment import NAMES
from mmaction_videomambapro.engine.memory import keep_freed_memory

SIZES = {'320 x 240': (320, 240), '1280 x 720': (1280, 720)}
CODECS = {
    'H.264': ('libx264', {}),
    'HEVC': ('libx265', {'x265-params': 'open-gop=0:log-level=none'}),
}
PAGE = Path(__file__).parents[1] / 'docs' / 'data.md'
VIEW = [
    dict(type='Resize', scale=(-1, 256)),
    dict(type='ClipRandAugment', interpolation='bilinear'),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
REPEATS = 20


def write_video(path, size, codec='H.264', frames=300):
    """A texture that drifts behind a disc, in closed groups of pictures."""
    encoder, options = CODECS[codec]
    width, height = size
    texture = np.random.default_rng(0).integers(
        0, 256, (height // 4, width // 4, 3), np.uint8
    )
    texture = cv2.resize(texture, (2 * width, 2 * height), None, 0, 0, cv2.INTER_CUBIC)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(encoder, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        for i in range(frames):
            x = int(width / 2 * (1 + math.sin(i / 40)))
            y = int(height / 2 * (1 + math.cos(i / 50)))
            image = texture[y : y + height, x : x + width].copy()
            centre = int(width * (0.5 + math.sin(i / 15) / 3)), height // 2
            cv2.circle(image, centre, height // 6, (255, 40, 40), -1)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def run(transforms, path):
    """Seconds of each transform, of one clip."""
    results = dict(filename=str(path), start_index=0, label=0, modality='RGB')
    seconds = []
    for transform in transforms:
        start = time.perf_counter()
        results = transform(results)
        seconds.append(time.perf_counter() - start)
    return np.array(seconds)


def mean_seconds(pipeline, path):
    transforms = [TRANSFORMS.build(config) for config in pipeline]
    run(transforms, path)
    np.random.seed(0)
    return np.mean([run(transforms, path) for _ in range(REPEATS)], 0)


def split_pipeline(videos, clips_per_second):
    print('\nms of a training clip, one process\n')
    names = ['VideoInit', 'SampleDense', 'VideoDecode', *(v['type'] for v in VIEW)]
    columns = {}
    for size, path in videos.items():
        for short_side in (None, 256):
            decode = dict(type='VideoDecode', short_side=short_side)
            sample = dict(type='SampleDense', clip_len=16, frame_interval=4)
            pipeline = [dict(type='VideoInit'), sample, decode, *VIEW]
            note = '' if short_side is None else f', short_side={short_side}'
            columns[size + note] = 1e3 * mean_seconds(pipeline, path)
    header('transform', *columns)
    for i, name in enumerate(names):
        row(name, *(float(times[i]) for times in columns.values()))
    totals = [times.sum() for times in columns.values()]
    row('all', *totals)
    row('clips a second', *(1e3 / total for total in totals))
    row(
        f'workers for {clips_per_second:g} clips a second',
        *(math.ceil(clips_per_second * total / 1e3) for total in totals),
    )


def time_operations():
    print('\nRandAugment, ms for 16 frames of 256 x 340, one thread\n')
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (16, 64, 85, 3), np.uint8)
    frames = [cv2.resize(frame, (340, 256)) for frame in frames]
    header('', 'bilinear', 'bicubic', 'random, as timm')
    drawn, applied = [], []
    for kind in ('bilinear', 'bicubic', 'random'):
        transform = TRANSFORMS.build(dict(type='ClipRandAugment', interpolation=kind))
        np.random.seed(0)
        start = time.perf_counter()
        for _ in range(10 * REPEATS):
            transform(dict(imgs=frames))
        drawn.append(1e3 * (time.perf_counter() - start) / (10 * REPEATS))
        times = [
            milliseconds(partial(operation, frames, Draw(7, 1, way)), 0.1)
            for operation in map(OPERATIONS.get, NAMES)
            for way in transform.interpolations
        ]
        applied.append(4 * float(np.mean(times)))
    row('four operations, each applied half of the times', *drawn)
    row('four operations, all applied', *applied)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--clips-per-second', type=float, default=100)
    parser.add_argument(
        '--table', action='store_true', help='write the kinds of videos to docs/data.md'
    )
    args = parser.parse_args()
    keep_freed_memory()  # as in the tools, and so in their workers
    cv2.setNumThreads(1)
    init_default_scope('mmaction')
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        verdicts = survey(Path(folder))
        print_survey(verdicts)
        if args.table:
            write_table(verdicts, PAGE)
            print_kinds(verdicts)
        videos = {}
        for codec in CODECS:
            for name, size in SIZES.items():
                path = videos[f'{codec}, {name}'] = (
                    Path(folder) / f'{codec}{size[0]}.mp4'
                )
                write_video(path, size, codec)
        compare_speed(videos)
        h264 = {name: videos[f'H.264, {name}'] for name in SIZES}
        split_pipeline(h264, args.clips_per_second)
    time_operations()


if __name__ == '__main__':
    main()
