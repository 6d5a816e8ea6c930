"""Decoders side by side: which frames are wrong, for every kind of video, and how fast.

A reader is a function of a path and of frames' numbers. Ours are the backends of
``Video``; beside them stand the libraries as loaders commonly use them.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np
from common import header, row

from mmaction_videomambapro.datasets.videos import Video, installed

sys.path.append(str(Path(__file__).parents[1] / 'tests' / 'datasets' / 'videos'))

from video_kinds import KINDS, Truth

SECONDS = 30  # that a reader has for a file
ENOUGH = 3  # seconds of one reader on one file
BEGIN, END = '<!-- begin: kinds of videos -->', '<!-- end: kinds of videos -->'

Frames = tuple[int, list[np.ndarray]]


def ours(backend: str, path: str, inds: Sequence[int]) -> Frames:
    with Video(path, [backend]) as video:
        return len(video), video.frames(inds)


def decord(path: str, inds: Sequence[int]) -> Frames:
    import decord

    reader = decord.VideoReader(path, num_threads=1)
    return len(reader), list(reader.get_batch(list(inds)).asnumpy())


def opencv_seek(path: str, inds: Sequence[int]) -> Frames:
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames = []
    for i in inds:
        capture.set(cv2.CAP_PROP_POS_FRAMES, i)
        read, frame = capture.read()
        if not read:
            raise OSError(f'no frame {i}')
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), frames


def pyav_seek(path: str, inds: Sequence[int]) -> Frames:
    """To the key frame before the time that the rate gives, and on to that time."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = 'NONE'
        rate, base = stream.average_rate, stream.time_base
        count = stream.frames
        if not count:
            seconds = stream.duration * base if stream.duration else None
            count = round((seconds or container.duration / av.time_base) * rate)
        frames = []
        for i in inds:
            time = int(i / rate / base) + (stream.start_time or 0)
            container.seek(time, stream=stream)
            for frame in container.decode(stream):
                if frame.pts >= time:
                    break
            frames.append(frame.to_ndarray(format='rgb24'))
    return count, frames


def torchcodec(seek_mode: str, path: str, inds: Sequence[int]) -> Frames:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(
        path, dimension_order='NHWC', num_ffmpeg_threads=1, seek_mode=seek_mode
    )
    return len(decoder), list(decoder.get_frames_at(list(inds)).data.numpy())


def _is_installed(backend):
    try:
        return bool(installed([backend]))
    except ValueError:
        return False


OURS = {
    f'ours, {name}': partial(ours, name)
    for name in ('pyav', 'decord', 'opencv', 'torchcodec')
    if _is_installed(name)
}
PEERS = {
    'decord': decord,
    'OpenCV, seek': opencv_seek,
    'PyAV, seek': pyav_seek,
    'torchcodec, approximate': partial(torchcodec, 'approximate'),
    'torchcodec, exact': partial(torchcodec, 'exact'),
}
OPTIONAL = 'decord', 'torchcodec'
READERS = OURS | {
    name: peer
    for name, peer in PEERS.items()
    if (package := name.split(',')[0]) not in OPTIONAL or find_spec(package)
}


def judge(reader: Callable, path: str, truth: Truth | None) -> tuple[str, int, int]:
    """Ask for all frames in a random order, and for few of them.

    Returns:
        tuple[str, int, int]: 'exact', 'refused' or what is wrong; how many frames are
            wrong; of how many.
    """
    if truth is None:
        try:
            reader(path, [0])
        except Exception:
            return 'refused', 0, 0
        return 'shows what is no video', 1, 1
    places = [i for i in range(len(truth.numbers)) if i not in truth.doubtful]
    random.Random(0).shuffle(places)
    faults = []
    for asked in (places, places[:6]):  # what is skipped matters too
        try:
            count, frames = reader(path, asked)
        except Exception:
            return 'refused', 0, 0
        faults += [truth.faults(i, frame) for i, frame in zip(asked, frames)]
    for i in truth.doubtful.intersection(range(count)):
        try:
            faults.append(truth.faults(i, reader(path, [i])[1][0]))
        except Exception:
            faults.append('')
    wrong = Counter(filter(None, faults))
    words = [
        f'{n} of {len(faults)} {"frames" if fault == "frame" else fault}'
        for fault, n in wrong.most_common()
    ]
    if count not in truth.counts:
        words.append(f'count {count} for {len(truth.numbers)}')
    return ', '.join(words) or 'exact', wrong.total(), len(faults)


class Judge:
    """``judge`` in another process, since readers may hang, or end their process."""

    def __init__(self, reader: Callable) -> None:
        self.reader, self.process = reader, None

    def __call__(self, path: str, truth: Truth | None) -> tuple[str, int, int]:
        if self.process is None:
            self._start()
        frames = len(truth.numbers) if truth else 1
        try:
            self.pipe.send((path, truth))
            if self.pipe.poll(SECONDS):
                return self.pipe.recv()
            verdict = 'hangs'
        except (EOFError, OSError):
            verdict = 'ends the process'
        self.close()
        return verdict, frames, frames

    def _start(self):
        context = multiprocessing.get_context('fork')
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=self._serve, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def _serve(self, pipe):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries print
        cv2.setNumThreads(1)
        while True:
            pipe.send(judge(self.reader, *pipe.recv()))

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


Verdicts = dict[str, tuple[str, int, int]]


def survey(folder: Path) -> dict[str, Verdicts]:
    """What each reader makes of each kind, by the kind's and the reader's name."""
    judges = {name: Judge(reader) for name, reader in READERS.items()}
    verdicts = {}
    for kind in KINDS:
        path = folder / kind.filename
        truth = kind.make(path)
        verdicts[kind.name] = {n: each(str(path), truth) for n, each in judges.items()}
        path.unlink()
    for each in judges.values():
        each.close()
    return verdicts


def print_survey(verdicts: dict[str, Verdicts]) -> None:
    print(f'\n{len(KINDS)} kinds of videos, every frame, in a random order\n')
    header('reader', 'exact', 'refused', 'wrong', 'hangs or ends', 'wrong frames')
    for name in READERS:
        found = [each[name] for each in verdicts.values()]
        words = Counter(_word(verdict) for verdict, _, _ in found)
        frames = f'{sum(n for _, n, _ in found)} of {sum(n for _, _, n in found)}'
        row(name, *(words[w] for w in ('exact', 'refused', 'WRONG', 'dies')), frames)


def _word(verdict):
    if verdict in ('exact', 'refused', 'WRONG', 'dies'):
        return verdict
    return 'dies' if verdict in ('hangs', 'ends the process') else 'WRONG'


def print_kinds(verdicts: dict[str, Verdicts]) -> None:
    """A row per kind, with what is wrong."""
    print()
    header('kind', *READERS)
    for kind, each in verdicts.items():
        row(kind, *(_bold(word, word) for word, _, _ in map(each.get, READERS)))


def write_table(verdicts: dict[str, Verdicts], page: Path) -> None:
    """Put a row per container and codec between two comments of a page."""
    groups = {}
    for kind in KINDS:
        groups.setdefault((kind.container, kind.codec), []).append(verdicts[kind.name])
    lines = [
        f'| container | codec | kinds | {" | ".join(READERS)} |',
        '|---' * (3 + len(READERS)) + '|',
    ]
    for (container, codec), kinds in sorted(groups.items()):
        cells = (_cell([each[name][0] for each in kinds]) for name in READERS)
        lines.append(f'| {container} | {codec} | {len(kinds)} | {" | ".join(cells)} |')
    text = page.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(f'{text[:start]}\n\n' + '\n'.join(lines) + f'\n\n{text[end:]}')


def _cell(verdicts):
    words = Counter(map(_word, verdicts))
    if len(words) == 1 and words.keys() <= {'exact', 'refused'}:
        return words.popitem()[0]
    ordered = (word for word in ('exact', 'refused', 'WRONG', 'dies') if words[word])
    return ', '.join(_bold(word, f'{words[word]} {word.lower()}') for word in ordered)


def _bold(verdict, text):
    return text if _word(verdict) in ('exact', 'refused') else f'**{text}**'


SAMPLES = {
    '16 of the whole': lambda n, draw: [
        int((i + draw.random()) * n / 16) for i in range(16)
    ],
    '16 x 4': lambda n, draw: list(range(s := draw.randrange(n - 61), s + 61, 4)),
}


def compare_speed(videos: dict[str, Path], repeats: int = 5) -> None:
    """Clips of 16 frames per second and as a ratio to decord, opening included.

    Args:
        videos (dict[str, Path]): Files by their description.
        repeats (int): Of each, of which the median counts; fewer of readers that are
            slow. Defaults to 5.
    """
    print('\nclips of 16 frames per second, one process, and the ratio to decord\n')
    columns = [(path, sample) for path in videos.values() for sample in SAMPLES]
    header('reader', *(f'{video}, {sample}' for video in videos for sample in SAMPLES))
    rates = {name: [] for name in READERS}
    for path, sample in columns:
        with av.open(str(path)) as container:
            frames = container.streams.video[0].frames
        times = {name: [] for name in READERS}
        for i in range(repeats):  # in turn, since the machine's speed drifts
            for name, reader in READERS.items():
                if sum(times[name]) > ENOUGH:
                    continue
                inds = SAMPLES[sample](frames, random.Random(i))
                start = time.perf_counter()
                reader(str(path), inds)
                times[name].append(time.perf_counter() - start)
        for name in READERS:
            rates[name].append(1 / statistics.median(times[name]))
    for name in READERS:
        row(name, *_with_ratios(rates[name], rates.get('decord')))


def _with_ratios(rates, references) -> Iterable[str]:
    for i, rate in enumerate(rates):
        ratio = f' ({rate / references[i]:.2f})' if references else ''
        yield f'{rate:.3g}{ratio}'
