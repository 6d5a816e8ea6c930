"""Repeated augmentation: several training samples from one decoded clip."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform, Compose


@TRANSFORMS.register_module()
class RepeatViews(BaseTransform):
    """Augment a decoded clip several times; each view becomes a sample.

    It must be the last transform of a pipeline and contains those after the decoder.
    The data loader needs ``collate_fn=dict(type='repeat_pseudo_collate')``, and its
    batches have ``num_views`` times its batch size. This is VideoMAE's and VideoMamba's
    ``num_sample=2``, after arXiv 1901.09335. (MMAction2's RepeatAugDataset works only
    with decord, and is a dataset type of its own.)

    Args:
        transforms (list): Transforms of each view, ending with ``PackActionInputs``.
        num_views (int): Number of views. Defaults to 2.
    """

    def __init__(self, transforms: Sequence[dict], num_views: int = 2) -> None:
        if num_views < 1:
            raise ValueError(f'num_views is {num_views}, expected at least 1')
        self.transforms, self.num_views = Compose(transforms), num_views

    def transform(self, results: dict) -> list[dict]:
        # some transforms change their input
        return [self.transforms(deepcopy(results)) for _ in range(self.num_views)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_views={self.num_views}, {self.transforms})'
