"""Which frames and crops a test pipeline takes, for programs without MMAction2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LARGEST = 10_000  # number in a pipeline, and frames of a video's clips together

# What says that a sampler draws nothing
SAMPLERS: dict[str, dict[str, Any]] = {
    'SampleFrames': {'test_mode': True},
    'UniformSample': {'test_mode': True},
    'SampleDense': {'mode': 'test'},
    'SampleSparse': {'mode': 'test'},
    'SampleSSv2': {'mode': 'test'},
}
_CROPS = {'CenterCrop': 1, 'ThreeCrop': 3}
_STEPS = (
    ('VideoInit', 'PyAVInit', 'DecordInit', 'OpenCVInit'),
    tuple(SAMPLERS),
    ('VideoDecode', 'PyAVDecode', 'DecordDecode', 'OpenCVDecode'),
    ('Resize',),
    tuple(_CROPS),
    ('FormatShape',),
    ('PackActionInputs',),
)
_COUNTS = 'clip_len', 'frame_interval', 'num_clips', 'resize', 'crop', 'crops'
# Arguments that are read, those without an effect on frames, and those without one as
# long as they are these
_READ = 'type', 'clip_len', 'frame_interval', 'num_clips', 'short_side', 'scale'
_READ += ('crop_size',)
_FREE = 'backend', 'io_backend', 'num_threads', 'source', 'published_val', 'meta_keys'
_USUAL: dict[str, Any] = {
    'temporal_jitter': False, 'twice_sample': False, 'out_of_bound_opt': 'loop',
    'keep_tail_frames': False, 'target_fps': None, 'keep_ratio': True,
    'interpolation': 'bilinear', 'lazy': False, 'input_format': 'NCTHW',
    'collapse': False,
}  # fmt: skip


def sampling_of(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Which frames and crops a test pipeline takes.

    Args:
        pipeline (Sequence[Mapping]): Its steps: a video is opened, frames are sampled
            and decoded, resized by their short side, cropped and packed.

    Returns:
        dict[str, Any] | None: ``type`` of the sampler, ``clip_len``,
        ``frame_interval``, ``num_clips``; ``shrink``, the short side to which larger
        frames are shrunk first, or None; ``resize``, the short side of all; ``crop``,
        height and width of a crop; and ``crops``, 1 for the centre, or 3 along the
        longer side. None if the pipeline does anything else, or leaves it to chance.
    """
    names = [_type_name(step) for step in pipeline]
    if len(names) != len(_STEPS) or not all(x in y for x, y in zip(names, _STEPS)):
        return None
    _, sample, decode, resize, crop, _, _ = pipeline
    found = dict(
        type=names[1],
        clip_len=sample.get('clip_len'),
        frame_interval=sample.get('frame_interval', 1),
        num_clips=sample.get('num_clips', 1),
        shrink=decode.get('short_side'),
        resize=_short_side(resize.get('scale')),
        crop=_side(crop.get('crop_size')),
        crops=_CROPS[names[4]],
    )
    fixed = SAMPLERS[names[1]]
    usual = _USUAL | fixed
    rest = [(k, v) for x in pipeline for k, v in x.items() if k not in _READ + _FREE]
    fits = (
        all(key in usual and usual[key] == value for key, value in rest)
        and all(sample.get(key) == value for key, value in fixed.items())
        and not (names[1] == 'SampleFrames' and found['clip_len'] == 1)  # another rule
        and is_sampling(found)
        and found['crop'] <= found['resize']
        # ThreeCrop refuses others, too
        and (found['crop'] == found['resize'] or found['crops'] == 1)
    )
    return found if fits else None


def is_sampling(value: Any) -> bool:
    """Whether this is what :func:`sampling_of` returns, of a usual size."""
    return (
        isinstance(value, dict)
        and isinstance(value.get('type'), str)
        and value['type'] in SAMPLERS
        and all(is_count(value.get(key)) for key in _COUNTS)
        and (value.get('shrink') is None or is_count(value['shrink']))
        and value['clip_len'] * value['num_clips'] <= LARGEST
    )


def is_count(value: Any) -> bool:
    """Whether this is an integer from 1 to LARGEST."""
    return type(value) is int and 1 <= value <= LARGEST


def _type_name(step):
    name = step.get('type', '')
    return name.rsplit('.')[-1] if isinstance(name, str) else name.__name__


def _short_side(scale):
    pair = isinstance(scale, (list, tuple)) and len(scale) == 2
    return max(scale) if pair and min(scale) == -1 else None


def _side(size):
    if isinstance(size, (list, tuple)):
        return size[0] if len(size) == 2 and size[0] == size[1] else None
    return size
