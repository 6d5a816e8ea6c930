"""Repeated augmentation: several training samples from one decoded clip."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform, Compose


@TRANSFORMS.register_module()
class RepeatViews(BaseTransform):
    """Augment a decoded clip several times; the views become samples of their own.

    The last transform of a pipeline, holding those behind the decoder. The data loader
    needs ``collate_fn=dict(type='repeat_pseudo_collate')``, and gives num_views times
    its batch size. This is VideoMAE's and VideoMamba's ``num_sample=2``, on the idea of
    arXiv 1901.09335. (MMAction2's RepeatAugDataset does so with decord only, and for
    no other dataset type.)

    Args:
        transforms (list): Of each view, ``PackActionInputs`` at the end.
        num_views (int): How many. Defaults to 2.
    """

    def __init__(self, transforms: Sequence[dict], num_views: int = 2) -> None:
        if num_views < 1:
            raise ValueError(f'num_views is {num_views}, expected at least 1')
        self.transforms, self.num_views = Compose(transforms), num_views

    def transform(self, results: dict) -> list[dict]:
        # some transforms work in place
        return [self.transforms(deepcopy(results)) for _ in range(self.num_views)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_views={self.num_views}, {self.transforms})'
