"""Choose the frames of a clip by the rules behind the published numbers.

MMAction2's SampleFrames and UniformSample follow other rules: a model trained with one
of these loses accuracy when it is tested with them.
"""

from __future__ import annotations

import math

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

MODES = 'train', 'val', 'test'


class PublishedSampler(BaseTransform):
    """Base class of the samplers: sets the keys that decoders read.

    Requires "total_frames" and "start_index"; adds "frame_inds", "clip_len",
    "frame_interval" and "num_clips". Frames of videos shorter than a clip are repeated.

    Args:
        clip_len (int): Frames per clip, T.
        frame_interval (int): Distance of a clip's frames in the video. Defaults to 1.
        num_clips (int): Clips per video, K; more than 1 only at test time.
            Defaults to 1.
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
                raise ValueError(f'{name}: {argument} must be at least 1')
        self.clip_len, self.frame_interval = clip_len, frame_interval
        self.num_clips, self.mode = num_clips, mode

    def clips(self, n: int) -> list:
        """Choose the frames of each clip, counted from 0, in a video of n frames."""
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
    """Take one frame from each of T segments of the whole video.

    With s = (n - 1) / T, segment i begins at round(s i). Training draws a frame between
    there and the beginning of the next segment, both included. At test time, clip k of
    K takes the frame int(s (k + 1) / (K + 1)) after the beginning; validation uses
    k = 0, K = 1. This is ``VideoClsDataset_sparse`` of VideoMamba's released code, for
    Kinetics-400, Breakfast and COIN. ``frame_interval`` has no effect.
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
    """Take a stretch of T * frame_interval frames, such as 16 x 4.

    Training draws its end and validation takes the middle. Tests take K stretches at
    equal distances, from the beginning to the end of the video. This is
    ``VideoClsDataset`` of VideoMAE's and VideoMamba's released code.

    Args:
        published_val (bool): Validate as that code does: its stretch begins at negative
            indices, which are frames at the end of the video. Defaults to False.
        **kwargs: Arguments of :class:`PublishedSampler`.
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
        if self.num_clips == 1:  # the published code divides by zero here
            return [rest // 2]
        step = rest / (self.num_clips - 1)
        return [int(k * step) for k in range(self.num_clips)]

    def _every(self, start, stretch, n):
        inds = list(range(start, min(start + stretch, n), self.frame_interval))
        return inds + inds[-1:] * (self.clip_len - len(inds))


@TRANSFORMS.register_module()
class SampleSSv2(PublishedSampler):
    """Take one frame from each of T segments, by the Something-Something V2 rule.

    These are ``SSVideoClsDataset`` and ``SSRawFrameClsDataset`` of VideoMAE's and
    VideoMamba's released code, which differ in training and validation. The rule for
    videos always tests two clips. ``frame_interval`` has no effect.

    Args:
        source (str): ``'video'`` or ``'rawframes'``, which rule to use.
            Defaults to ``'video'``.
        **kwargs: Arguments of :class:`PublishedSampler`.
    """

    def __init__(self, *args, source: str = 'video', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if source not in ('video', 'rawframes'):
            raise ValueError(f"source is {source!r}, expected 'video' or 'rawframes'")
        if source == 'video' and self.mode == 'test' and self.num_clips != 2:
            raise ValueError(
                f'num_clips is {self.num_clips}, but the published rule for videos '
                "tests 2 clips; source='rawframes' tests any number"
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
    """Take one clip from each of ``num_clips`` equal parts of a video, as V-JEPA does.

    From arXiv 2404.08471 and its released code. The frames of a clip are
    T * frame_interval / (T - 1) apart.

    Args:
        random (bool): Draw the position of a clip in its part; otherwise it is at the
            beginning. Defaults to True.
        allow_overlap (bool): Let clips overlap if parts are shorter than a clip,
            instead of repeating the last frame. Defaults to False.
        clip_duration (float, optional): Duration of a clip in seconds. Together with
            "avg_fps", the frame rate of the video, it sets the interval. The frame rate
            is rounded up to an integer first, as in V-JEPA 2; V-JEPA does not round.
            Defaults to None.
        fps (int, optional): Frames per second of a clip; sets the interval in the same
            way. Defaults to None.
        **kwargs: Arguments of :class:`PublishedSampler`; ``mode`` has no effect.

    Raises:
        ValueError: If both ``clip_duration`` and ``fps`` are given, or one is not
            above 0.
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
    """Spread frames from 0 to ``end``, then repeat ``last``."""
    spread = np.linspace(0, end, end // interval)
    inds = np.concatenate([spread, np.full(clip_len - len(spread), end)])
    return np.clip(inds, 0, max(last, 0)).astype(int)
