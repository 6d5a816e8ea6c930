"""Opening and decoding videos, whatever decoder can."""

from __future__ import annotations

from collections.abc import Sequence

from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ..videos import DEFAULT_BACKENDS, Video, installed


@TRANSFORMS.register_module()
class VideoInit(BaseTransform):
    """Open a video, in front of a sampler.

    MMAction2 has a pair of transforms for each decoder, and stops where that decoder
    does. This one tries the next.

    Required key is "filename"; "total_frames", "avg_fps" and "video_reader" are added.
    A sample that brings its frames, "imgs" or "array", is left as it is: MMAction2's
    demos for long videos and cameras cut them out of a stream.

    Args:
        backend (str | Sequence[str]): 'decord', 'pyav', 'opencv' or 'torchcodec', or
            several in the order in which they are tried.
            Defaults to ('decord', 'pyav', 'opencv').

    Raises:
        ValueError: If a decoder is unknown or none is installed.
    """

    def __init__(self, backend: str | Sequence[str] = DEFAULT_BACKENDS) -> None:
        self.backend = (backend,) if isinstance(backend, str) else tuple(backend)
        installed(self.backend)

    def transform(self, results: dict) -> dict:
        if 'filename' not in results and ('imgs' in results or 'array' in results):
            return results
        video = Video(results['filename'], self.backend)
        results['video_reader'] = video
        results['total_frames'], results['avg_fps'] = len(video), video.fps
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend={self.backend})'


@TRANSFORMS.register_module()
class VideoDecode(BaseTransform):
    """Decode the frames that a sampler chose, no others, and close the video.

    Required keys are "video_reader" and "frame_inds"; "imgs", "original_shape" and
    "img_shape" are added. Frames that a sample brings stay; see :class:`VideoInit`.

    Args:
        short_side (int, optional): Shrink frames as they are decoded, as a
            ``Resize(scale=(-1, short_side))`` behind it would, which then has nothing
            left to do. Saves memory where videos are large. Defaults to None.
    """

    def __init__(self, short_side: int | None = None) -> None:
        self.short_side = short_side

    def transform(self, results: dict) -> dict:
        if 'video_reader' not in results and 'imgs' in results:
            return results
        with results.pop('video_reader') as video:
            inds = results['frame_inds'].reshape(-1)
            results['imgs'] = video.frames(inds, self.short_side)
        shape = results['imgs'][0].shape[:2]
        results['original_shape'] = results['img_shape'] = shape
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(short_side={self.short_side})'
