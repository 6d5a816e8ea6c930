"""Open and decode videos, exactly or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ..videos import DEFAULT_BACKENDS, Video, installed


@TRANSFORMS.register_module()
class VideoInit(BaseTransform):
    """Open a video, before a sampler.

    It replaces MMAction2's transforms for each decoder, some of which return other
    frames than requested. It has the guarantee of :class:`Video`: frame i is frame i,
    or the file is refused with a reason.

    Requires "filename", or a "video_reader" that is open already (see
    :mod:`frame_sources`); adds "total_frames", "avg_fps" and "video_reader". A sample
    that has its frames in "imgs" or "array" instead is left as it is: MMAction2's demos
    for long videos and cameras take frames from a stream and need no sampler.

    Args:
        backend (str | Sequence[str]): 'pyav', 'decord', 'opencv' or 'torchcodec', or
            several, in the order in which they are tried. Each one is exact or refuses
            a file. Defaults to ('pyav',).

    Raises:
        ValueError: If a decoder is unknown or none is installed.
        OSError: If a file cannot be read at all.
        VideoError: If none of the decoders opens it.
    """

    def __init__(self, backend: str | Sequence[str] = DEFAULT_BACKENDS) -> None:
        self.backend = (backend,) if isinstance(backend, str) else tuple(backend)
        installed(self.backend)

    def transform(self, results: dict) -> dict:
        if 'filename' not in results and ('imgs' in results or 'array' in results):
            return results
        video = results.get('video_reader') or Video(results['filename'], self.backend)
        results['video_reader'] = video
        results['total_frames'], results['avg_fps'] = len(video), video.fps
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backend={self.backend})'


@TRANSFORMS.register_module()
class VideoDecode(BaseTransform):
    """Return exactly the frames that a sampler chose, and close the video.

    Requires "video_reader", from :class:`VideoInit`, and "frame_inds"; adds "imgs", a
    list of (H, W, 3) uint8 RGB, "original_shape" and "img_shape". If a sample has its
    frames already, they stay as they are; see :class:`VideoInit`.

    Args:
        short_side (int, optional): Shrink frames as they are decoded, just as a later
            ``Resize(scale=(-1, short_side))`` would. Saves memory with large videos.
            Defaults to None.

    Raises:
        VideoError: If one of the frames cannot be decoded or does not exist.
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
