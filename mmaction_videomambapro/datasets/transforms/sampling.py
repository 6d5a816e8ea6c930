"""Which frames of a video make a clip: the rules that published numbers come from.

MMAction2's SampleFrames and UniformSample follow others: a model trained with one of
these loses accuracy when it is tested with them.
"""

from __future__ import annotations

import math

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

MODES = 'train', 'val', 'test'


class PublishedSampler(BaseTransform):
    """Base of the samplers: turns a rule into the keys that decoders read.

    Required keys are "total_frames" and "start_index"; "frame_inds", "clip_len",
    "frame_interval" and "num_clips" are added. Videos shorter than a clip repeat
    frames.

    Args:
        clip_len (int): Frames of a clip, T.
        frame_interval (int): Between them in the video. Defaults to 1.
        num_clips (int): Of a video, K; only in tests more than 1. Defaults to 1.
        mode (str): ``'train'``, ``'val'`` or ``'test'``. Defaults to ``'train'``.

    Raises:
        ValueError: If an argument is out of range, or a video has no frames.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        mode: str = 'train',
    ) -> None:
        name = type(self).__name__
        if mode not in MODES:
            raise ValueError(f'{name}: mode is {mode!r}, expected one of {MODES}')
        for argument in ('clip_len', 'frame_interval', 'num_clips'):
            if locals()[argument] < 1:
                raise ValueError(f'{name}: {argument} has to be at least 1')
        self.clip_len, self.frame_interval = clip_len, frame_interval
        self.num_clips, self.mode = num_clips, mode

    def clips(self, n: int) -> list:
        """Indices from 0 of each clip's frames, of a video of n frames."""
        raise NotImplementedError

    def transform(self, results: dict) -> dict:
        n = results['total_frames']
        if n < 1:
            name = results.get('filename', results.get('frame_dir', 'a video'))
            raise ValueError(f'{name} has no frames')
        inds = np.asarray(self.clips(n), dtype=np.int64)
        results['frame_inds'] = inds.reshape(-1) + results.get('start_index', 0)
        results['clip_len'] = self.clip_len
        results['frame_interval'] = self.frame_interval
        results['num_clips'] = len(inds)
        return results

    def __repr__(self) -> str:
        arguments = ', '.join(f'{k}={v!r}' for k, v in vars(self).items())
        return f'{type(self).__name__}({arguments})'


@TRANSFORMS.register_module()
class SampleSparse(PublishedSampler):
    """A frame from each of T segments of the whole video.

    With s = (n - 1) / T, segment i begins at round(s i). Training draws a frame up to
    the next one's beginning, both included; in tests clip k of K takes the frame
    int(s (k + 1) / (K + 1)) behind the beginning, and validation that of k = 0, K = 1.
    This is ``VideoClsDataset_sparse`` of VideoMamba's released code, for Kinetics-400,
    Breakfast and COIN. ``frame_interval`` has no effect.
    """

    def clips(self, n):
        s = (n - 1) / self.clip_len
        begin = np.round(s * np.arange(self.clip_len + 1)).astype(int)
        if self.mode == 'train':
            drawn = np.random.randint(begin[:-1], begin[1:] + 1)
            return [np.minimum(drawn, n - 1)]
        K = self.num_clips if self.mode == 'test' else 1
        shifts = [int(s / (K + 1) * (k + 1)) for k in range(K)]
        return [np.minimum(begin[:-1] + shift, n - 1) for shift in shifts]


@TRANSFORMS.register_module()
class SampleDense(PublishedSampler):
    """A stretch of T * frame_interval frames: 16 x 4 and the like.

    Training draws where it ends, validation takes the middle, tests K stretches at
    equal distances from the first to the last. This is ``VideoClsDataset`` of
    VideoMAE's and VideoMamba's released code.

    Args:
        published_val (bool): Validate as that code does, whose stretch lies so early
            that it begins at negative indices, of frames at the end of the video.
            Defaults to False.
        **kwargs: As for :class:`PublishedSampler`.
    """

    def __init__(self, *args, published_val: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.published_val = published_val

    def clips(self, n):
        T, rate = self.clip_len, self.frame_interval
        stretch = T * rate
        if self.mode == 'test':
            return [self._every(start, stretch, n) for start in self._starts(n)]
        if n <= stretch:
            return [short_clip(n, n - 1, T, rate)]
        if self.mode == 'train':
            start = np.random.randint(stretch, n) - stretch
        else:
            start = (n - stretch) // 2
            start -= stretch if self.published_val else 0
        end = start + stretch
        inds = np.clip(np.linspace(start, end, T), start, end - 1).astype(int)
        return [inds % n]

    def _starts(self, n):
        rest = max(n - self.clip_len * self.frame_interval, 0)
        if self.num_clips == 1:  # where the published code divides by zero
            return [rest // 2]
        step = rest / (self.num_clips - 1)
        return [int(k * step) for k in range(self.num_clips)]

    def _every(self, start, stretch, n):
        inds = list(range(start, min(start + stretch, n), self.frame_interval))
        return inds + inds[-1:] * (self.clip_len - len(inds))


@TRANSFORMS.register_module()
class SampleSSv2(PublishedSampler):
    """A frame from each of T segments, as for Something-Something V2.

    This is ``SSVideoClsDataset`` and ``SSRawFrameClsDataset`` of VideoMAE's and
    VideoMamba's released code, which differ in training and validation. The one for
    videos tests two clips. ``frame_interval`` has no effect.

    Args:
        source (str): ``'video'`` or ``'rawframes'``. Defaults to ``'video'``.
        **kwargs: As for :class:`PublishedSampler`.
    """

    def __init__(self, *args, source: str = 'video', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if source not in ('video', 'rawframes'):
            raise ValueError(f"source is {source!r}, expected 'video' or 'rawframes'")
        if source == 'video' and self.mode == 'test' and self.num_clips != 2:
            raise ValueError(
                f'the published rule for videos tests 2 clips, not {self.num_clips}; '
                "source='rawframes' tests any number"
            )
        self.source = source

    def clips(self, n):
        T, K = self.clip_len, self.num_clips
        i, tick, whole = np.arange(T), n / T, n // T
        video = self.source == 'video'
        if self.mode == 'test':
            inds = sorted(int(k * tick / K + tick * x) for k in range(K) for x in i)
            return [inds[k::K] for k in range(K)]
        if self.mode == 'val' and video:
            return [(tick / 2 + tick * i).astype(int)]
        if whole == 0:
            return [i * 0 if video else np.maximum(i - (T - n), 0)]
        draw = self.mode == 'train'
        return [i * whole + (np.random.randint(whole, size=T) if draw else whole // 2)]


@TRANSFORMS.register_module()
class SampleVJEPA(PublishedSampler):
    """The clips of V-JEPA: one from each of ``num_clips`` equal parts of a video.

    arXiv 2404.08471 and its released code. The frames of a clip lie
    T * frame_interval / (T - 1) apart.

    Args:
        random (bool): Draw where in its part a clip lies, else at the beginning.
            Defaults to True.
        allow_overlap (bool): Let clips overlap where parts are shorter than a clip,
            instead of repeating the last frame. Defaults to False.
        clip_duration (float, optional): Seconds of a clip, which decide the interval
            with the frame rate of the video, "avg_fps". That is rounded up to a whole
            number first, as in V-JEPA 2; V-JEPA takes it as it is. Defaults to None.
        fps (int, optional): Frames of a clip in a second, which decide the interval
            likewise. Defaults to None.
        **kwargs: As for :class:`PublishedSampler`; ``mode`` has no effect.

    Raises:
        ValueError: If both are given, or one is not above 0.
    """

    def __init__(
        self,
        *args,
        random: bool = True,
        allow_overlap: bool = False,
        clip_duration: float | None = None,
        fps: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        given = [x for x in (clip_duration, fps) if x is not None]
        if len(given) > 1 or not all(x > 0 for x in given):
            raise ValueError(
                f'SampleVJEPA: clip_duration is {clip_duration} and fps is {fps}, '
                'expected at most one of them, above 0'
            )
        self.random, self.allow_overlap = random, allow_overlap
        self.clip_duration, self.fps = clip_duration, fps

    def transform(self, results: dict) -> dict:
        if self.clip_duration is not None:
            frames = self.clip_duration * math.ceil(results['avg_fps'])
            self.frame_interval = max(1, int(frames / self.clip_len))
        elif self.fps is not None:
            self.frame_interval = max(1, math.ceil(results['avg_fps']) // self.fps)
        return super().transform(results)

    def clips(self, n):
        T, rate = self.clip_len, self.frame_interval
        K, stretch = self.num_clips, T * rate
        part = n // K
        clips = []
        for k in range(K):
            if part > stretch:
                end = np.random.randint(stretch, part) if self.random else stretch
                start = end - stretch
                inds = np.clip(np.linspace(start, end, T), start, end - 1)
                inds, shift = inds.astype(int), k * part
            elif self.allow_overlap:
                last = min(stretch, n) - 1
                inds = short_clip(last, last - 1, T, rate)
                shift = k * ((n - stretch) // (K - 1)) if n > stretch else 0
            else:
                inds, shift = short_clip(part, part - 1, T, rate), k * part
            clips.append(np.minimum(inds + shift, n - 1))
        return clips


def short_clip(end: int, last: int, clip_len: int, interval: int) -> np.ndarray:
    """Frames spread from 0 to ``end``, then ``last`` again and again."""
    spread = np.linspace(0, end, end // interval)
    inds = np.concatenate([spread, np.full(clip_len - len(spread), end)])
    return np.clip(inds, 0, max(last, 0)).astype(int)
