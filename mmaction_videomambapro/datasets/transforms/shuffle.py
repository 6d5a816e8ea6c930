"""Destroy the order of time, to see how much a model depends on it."""

from __future__ import annotations

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class ShuffleFrames(BaseTransform):
    """Permute the sampled frames of each clip at random.

    A control: a model that does as well with it has not looked at motion. Put it
    right behind the frame sampler. (Neither MMAction2 nor mmcv has one.)

    Required keys are "frame_inds", "num_clips" and "clip_len"; "frame_inds" changes.
    """

    def transform(self, results: dict) -> dict:
        inds = np.asarray(results['frame_inds'])
        clips = inds.reshape(results['num_clips'], results['clip_len'])
        clips = np.stack([np.random.permutation(clip) for clip in clips])
        results['frame_inds'] = clips.reshape(inds.shape)
        return results
