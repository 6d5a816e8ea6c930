"""What happens when in a video: a model is asked about windows of it, one by one."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from mmaction.registry import TRANSFORMS
from mmengine.dataset import Compose

from ..datasets.videos import Video
from ..datasets.videos.reader import USUAL_FPS
from ..datasets.videos.windows import window_starts, windows
from ..errors import UsageError
from ..evaluation.segments import find_segments, score_over_time, smooth
from ..visualization.annotated_video import annotate
from ..visualization.timeline import Thumbnails, draw_timeline
from .inferencer import VideoInferencer, bar, reading_steps, reason_of, type_name
from .inputs import Input

DENSE = 'SampleFrames', 'SampleDense'  # samplers of a stretch of fixed length
SECONDS = 10.0  # of a window for the other samplers, which see trimmed videos


@dataclass
class OverTime:
    """What a model says of a video over time.

    Attributes:
        answer (dict): As of :class:`VideoInferencer`, for the mean of all windows, with
            ``windows`` and ``segments``. Times are in seconds from the first frame.
        times (np.ndarray): (steps + 1,), when scores change.
        scores (np.ndarray): (steps, classes), smoothed; NaN where frames are broken.
        thumbnails (Thumbnails): A frame of each window.
        names (list[str]): Of all classes.
    """

    answer: dict
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scores: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    thumbnails: Thumbnails = field(default_factory=lambda: Thumbnails(0))
    names: list[str] = field(default_factory=list)

    def draw(self, out: str) -> None:
        """Draw frames, segments and scores; see :func:`draw_timeline`."""
        segments = self.answer['segments']
        title = osp.basename(self.answer['path'])
        draw_timeline(
            self.thumbnails, self.times, self.scores, segments, self.names, out,
            title=title,
        )  # fmt: skip

    def annotate(self, out: str) -> None:
        """Write the video with its segments as captions; see :func:`annotate`."""
        captions = (
            (x['start'], x['end'], f'{x["label"]}  {x["score"]:.0%}')
            for x in self.answer['segments']
        )
        annotate(self.answer['path'], out, captions)


class WindowModel:
    """A model that is asked about windows.

    Its pipeline is that of tests. A sampler of a stretch of fixed length takes one
    clip, since all clips of a window would be the same.

    Args:
        inferencer (VideoInferencer): The model.
        seconds (float, optional): Length of a window. Defaults to None: that of the
            model's clip, or 10 s if its sampler spreads frames over a whole video.
    """

    def __init__(
        self, inferencer: VideoInferencer, seconds: float | None = None
    ) -> None:
        self.inferencer, self.seconds = inferencer, seconds
        steps = reading_steps(inferencer.steps)
        names = [type_name(step) for step in steps]
        for i, name in enumerate(names):
            if name in DENSE:
                steps[i] = dict(steps[i], num_clips=1)
        self._sampler = next((x for x in steps if 'clip_len' in x), {})
        self._pipeline = Compose(steps)
        self.short_side = _short_side(steps, names)

    def length(self, fps: float) -> int:
        """Frames of a window."""
        if self.seconds is None and type_name(self._sampler) in DENSE:
            return self._sampler['clip_len'] * self._sampler.get('frame_interval', 1)
        return max(1, round((self.seconds or SECONDS) * (fps or USUAL_FPS)))

    def wanted(self, length: int) -> np.ndarray | None:
        """Which frames of a window it looks at; None if that is left to chance."""
        if not self._sampler:
            return None
        sampler = TRANSFORMS.build(self._sampler)
        sample = dict(total_frames=length, start_index=0, avg_fps=USUAL_FPS)
        one, other = (np.unique(sampler(dict(sample))['frame_inds']) for _ in range(2))
        return one if np.array_equal(one, other) else None

    def ask(self, readers: Sequence[Any]) -> list[np.ndarray | str]:
        """Scores of all classes for each window, or why it is broken."""
        data: list[dict | str] = []
        for reader in readers:
            sample = dict(start_index=0, modality='RGB', video_reader=reader)
            try:
                data.append(self._pipeline(sample))
            except Exception as error:  # decoders raise whatever they like
                data.append(reason_of(error))
        return [
            x if isinstance(x, str) else x.pred_score.float().cpu().numpy()
            for x in self.inferencer.ask(data)
        ]


def over_time(
    inferencer: VideoInferencer,
    source: Input,
    window: float | None = None,
    stride: float | None = None,
    batch_size: int | None = None,
    top: int | None = 5,
    min_score: float = 0.0,
    show_progress: bool = False,
) -> OverTime:
    """Ask a model about all windows of a video.

    The video is decoded once, and memory does not grow with its length.

    Args:
        inferencer (VideoInferencer): The model.
        source (Input): From :func:`find_inputs`.
        window (float, optional): Seconds of a window. Defaults to None: see
            :class:`WindowModel`.
        stride (float, optional): Seconds from the start of one window to that of the
            next. Defaults to None: half a window.
        batch_size (int, optional): Windows at once. Defaults to that of the config.
        top (int, optional): How many classes to name. Defaults to 5; None for all.
        min_score (float): Below it there is no segment. Defaults to 0.
        show_progress (bool): Whether to show a bar. Defaults to False.

    Returns:
        OverTime: Its answer says so if the video is broken.
    """
    model = WindowModel(inferencer, window)
    try:
        sample = source.sample()
        with sample.get('video_reader') or Video(source.name) as video:
            batch_size = batch_size or inferencer.batch_size
            asked = _Asked(model, video, stride, batch_size, show_progress)
    except Exception as error:  # decoders raise whatever they like
        reason = reason_of(error)
        return OverTime(inferencer.answer(source, None, reason, top))
    return asked.summary(source, top, min_score)


def answers_over_time(
    inferencer: VideoInferencer,
    inputs: Sequence[Input],
    picture: str | None = None,
    video: str | None = None,
    **options: Any,
) -> Iterator[dict]:
    """Answer what happens when in each of the videos.

    Args:
        inferencer (VideoInferencer): The model.
        inputs (Sequence[Input]): The videos; one, if anything is to be drawn.
        picture (str, optional): Picture of the segments. Defaults to None.
        video (str, optional): Copy of the video with its segments. Defaults to None.
        **options: Of :func:`over_time`.

    Raises:
        UsageError: If there are several videos to draw.
    """
    if (picture or video) and len(inputs) > 1:
        raise UsageError(
            f'only one video can be drawn, not {len(inputs)}: name one of them'
        )
    for source in inputs:
        found = over_time(inferencer, source, show_progress=len(inputs) == 1, **options)
        if not found.answer['error']:
            if picture:
                found.draw(picture)
            if video:
                found.annotate(video)
        yield found.answer


class _Asked:
    """The windows of a video, with the scores of each or its fault."""

    def __init__(self, model, video, stride, batch_size, show_progress) -> None:
        self.inferencer = model.inferencer
        fps = video.fps or USUAL_FPS
        length = model.length(video.fps)
        step = max(1, round(stride * fps)) if stride else max(1, length // 2)
        self.thumbnails = Thumbnails(len(video) / fps)
        self.seconds: list[tuple[float, float]] = []
        self.results: list[np.ndarray | str] = []
        wanted = model.wanted(length)
        stream = windows(video, length, step, model.short_side, wanted)
        count = len(window_starts(len(video), length, step))
        batches = iter(lambda: list(islice(stream, batch_size)), [])
        for batch in bar(batches, -(-count // batch_size), show_progress):
            for one in batch:
                self.seconds.append(one.seconds)
                self._show(one, 0 if wanted is None else int(wanted[0]))
            self.results += model.ask(batch)

    def _show(self, window, first):
        if window.error is None:
            (frame,) = window.frames([min(first, len(window) - 1)])
            self.thumbnails.add(window.seconds[0], frame)

    def summary(self, source, top, min_score) -> OverTime:
        inferencer = self.inferencer
        known = [i for i, x in enumerate(self.results) if not isinstance(x, str)]
        if not known:
            return OverTime(inferencer.answer(source, None, str(self.results[0]), top))
        scores = np.stack([self.results[i] for i in known])
        starts, ends = np.array([self.seconds[i] for i in known]).T
        times, over = score_over_time(starts, ends, scores)
        over = smooth(times, over, float(np.median(ends - starts)))
        answer = inferencer.answer(source, scores.mean(0), None, top)
        answer['windows'] = list(self._windows(top))
        answer['segments'] = [
            dict(segment, label=inferencer.label(segment['class']))
            for segment in find_segments(times, over, min_score)
        ]
        names = [inferencer.label(i) for i in range(scores.shape[1])]
        return OverTime(answer, times, over, self.thumbnails, names)

    def _windows(self, top) -> Iterator[dict]:
        for (start, end), result in zip(self.seconds, self.results):
            broken = isinstance(result, str)
            scores = None if broken else result
            best = self.inferencer.best(scores, top)
            yield dict(start=start, end=end, **best, error=result if broken else None)


def _short_side(steps, names):
    """To which short side frames can be shrunk before the pipeline sees them."""
    decode = names.index('VideoDecode')
    following = steps[decode + 1 : decode + 2]
    if steps[decode].get('short_side'):
        return steps[decode]['short_side']
    for step in following:
        scale = step.get('scale')
        plain = type_name(step) == 'Resize' and set(step) == {'type', 'scale'}
        if plain and isinstance(scale, (list, tuple)) and scale[0] == -1:
            return scale[1]
    return None
