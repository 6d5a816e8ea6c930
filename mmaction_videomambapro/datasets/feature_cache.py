"""Features of a frozen backbone on disk, and a dataset of them."""

from __future__ import annotations

import json
import os
import os.path as osp

import torch
from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS
from mmaction.structures import ActionDataSample
from torch import Tensor

from ..files import is_empty, replacing
from ..safe_load import safe_load

INDEX = 'cache.json'


class FeatureCacheError(ValueError):
    """A feature cache that can not be used, said in one sentence."""


class FeatureCache:
    """A folder with one file for each sample, and what they were made of.

    Files are written under another name first, so that those that are there are whole.

    Args:
        folder (str): Where.

    Raises:
        FeatureCacheError: If that is no feature cache.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        try:
            with open(osp.join(folder, INDEX), encoding='utf-8') as file:
                index = json.load(file)
            self.num_samples, self.origin = int(index['num_samples']), index['origin']
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FeatureCacheError(
                f'{folder} is no feature cache: {INDEX} is missing or damaged; '
                'tools/extract_features.py makes one'
            ) from error

    @classmethod
    def create(cls, folder: str, num_samples: int, origin: dict) -> FeatureCache:
        """Begin a cache, or go on with one.

        Args:
            folder (str): New, empty, or with a cache of the same origin.
            num_samples (int): How many samples it will have.
            origin (dict): Of strings: what decides about the features, by names that
                errors use.

        Raises:
            FeatureCacheError: If the folder has something else in it, or features of
                another origin.
        """
        if not osp.isdir(folder) or is_empty(folder):
            os.makedirs(folder, exist_ok=True)
            index = dict(num_samples=num_samples, origin=origin)
            with replacing(osp.join(folder, INDEX)) as file:
                file.write(json.dumps(index, indent=2) + '\n')
        cache = cls(folder)
        stale = [name for name in origin if cache.origin.get(name) != origin[name]]
        if stale:
            raise FeatureCacheError(
                f'{folder} holds features of other {", ".join(stale)}: choose another '
                'folder, or delete this one'
            )
        return cache

    def path(self, index: int) -> str:
        """The file of a sample; thousand in a folder."""
        return osp.join(self.folder, f'{index // 1000:05}', f'{index:08}.pth')

    def missing(self) -> list[int]:
        """Samples that have no file yet."""
        return [i for i in range(self.num_samples) if not osp.exists(self.path(i))]

    def save(self, index: int, features: Tensor, label: Tensor) -> None:
        """Write a sample: tokens of its views (views, L, C), and its label."""
        content = dict(features=features.clone(), label=label.clone())
        with replacing(self.path(index), 'wb') as file:
            torch.save(content, file)

    def load(self, index: int) -> tuple[Tensor, Tensor]:
        """Read a sample."""
        content = safe_load(self.path(index), 'cpu')
        return content['features'], content['label']


@DATASETS.register_module()
class CachedFeatures(BaseActionDataset):
    """Samples of a feature cache, in place of clips.

    For a recognizer with ``backbone=dict(type='torch.nn.Identity')``: its head gets
    what it would get from the frozen backbone. Several caches of one list, made with
    several seeds, make a ``ConcatDataset`` of augmented views.

    Args:
        ann_file (str): Folder of a whole cache.
        **kwargs: As for MMEngine's ``BaseDataset``.

    Raises:
        FeatureCacheError: If it is none, or lacks samples.
    """

    def __init__(self, ann_file: str, **kwargs) -> None:
        super().__init__(ann_file, **{'pipeline': [], **kwargs})

    def load_data_list(self) -> list[dict]:
        self.cache = FeatureCache(self.ann_file)
        missing = len(self.cache.missing())
        if missing:
            raise FeatureCacheError(
                f'{missing} of {self.cache.num_samples} samples of {self.ann_file} are '
                'missing: run tools/extract_features.py again, it goes on where it '
                'stopped'
            )
        return [dict(number=i) for i in range(self.cache.num_samples)]

    def prepare_data(self, idx: int) -> dict:
        features, label = self.cache.load(self.get_data_info(idx)['number'])
        # autocast to bfloat16 can not stack float16
        return dict(
            inputs=features.float(), data_samples=ActionDataSample(gt_label=label)
        )
