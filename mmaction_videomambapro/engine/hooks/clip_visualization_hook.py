"""Pictures of samples with their predictions, for ``--show-dir``."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence

import numpy as np
from mmaction.engine.hooks import VisualizationHook
from mmaction.registry import HOOKS
from mmengine.structures import LabelData
from torch import Tensor

from ...datasets.sample_files import file_of


@HOOKS.register_module(name='VisualizationHook', force=True)
class ClipVisualizationHook(VisualizationHook):
    """Replaces MMAction2's hook of the same name; takes clips with any number of views.

    MMAction2's cannot permute (views, C, T, H, W), and gives the visualizer no labels
    (open-mmlab/mmaction2#2697). The arguments are the same.
    """

    def _draw_samples(
        self, batch_idx: int, data_batch: dict, data_samples: Sequence, step: int = 0
    ) -> None:
        if not self.enable:
            return
        start = batch_idx * len(data_samples)
        for i, sample in enumerate(data_samples):
            if (start + i) % self.interval:
                continue
            sample = sample.clone()
            # the names and types that ActionVisualizer looks for
            if 'gt_label' in sample:
                sample.set_field(sample.gt_label, 'gt_labels')
            sample.set_field(
                LabelData(item=sample.pred_label, score=sample.pred_score),
                'pred_labels',
            )
            name = osp.basename(file_of(sample) or str(start + i))
            draw_args = {k: v for k, v in self.draw_args.items() if k != 'show'}
            if self.out_dir is not None:
                draw_args['out_path'] = osp.join(self.out_dir, f'{name}_{step}')
            self._visualizer.add_datasample(
                name,
                video=_first_view(data_batch['inputs'][i]),
                data_sample=sample,
                step=step,
                show_frames=self.show,
                **draw_args,
            )


def _first_view(video: Tensor) -> np.ndarray:
    """(..., C, T, H, W) or (T, C, H, W) -> uint8 frames (T, H, W, C)."""
    while video.ndim > 4:
        video = video[0]
    frames = video.movedim(0, -1) if video.shape[0] == 3 else video.movedim(1, -1)
    return frames.numpy().astype('uint8')
