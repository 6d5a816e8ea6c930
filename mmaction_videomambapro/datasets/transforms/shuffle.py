"""Destroy the order of frames, to measure how much a model depends on it."""

from __future__ import annotations

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class ShuffleFrames(BaseTransform):
    """Permute the sampled frames of each clip at random.

    A control: a model that does equally well with it does not use motion. Put it right
    after the frame sampler. (Neither MMAction2 nor mmcv has such a transform.)

    Requires "frame_inds", "num_clips" and "clip_len"; changes "frame_inds".
    """

    def transform(self, results: dict) -> dict:
        inds = np.asarray(results['frame_inds'])
        clips = inds.reshape(results['num_clips'], results['clip_len'])
        clips = np.stack([np.random.permutation(clip) for clip in clips])
        results['frame_inds'] = clips.reshape(inds.shape)
        return results
