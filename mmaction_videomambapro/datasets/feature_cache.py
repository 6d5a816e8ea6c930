"""A cache on disk for features of a frozen backbone, and a dataset that reads it."""

from __future__ import annotations

import hashlib
import json
import os
import os.path as osp
from collections.abc import Iterable

import torch
from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS
from mmaction.structures import ActionDataSample
from torch import Tensor

from ..errors import UsageError
from ..files import is_empty, replacing
from ..safe_load import safe_load

INDEX = 'cache.json'
MOST_SAMPLES = 10**8


class FeatureCacheError(UsageError, ValueError):
    """A feature cache that cannot be used, said in one sentence."""


class FeatureCache:
    """A folder with one file per sample and a record of how they were made.

    Files are written under another name first, so existing files are complete.

    Args:
        folder (str): The folder.

    Raises:
        FeatureCacheError: If it is not a feature cache.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        try:
            with open(osp.join(folder, INDEX), encoding='utf-8') as file:
                index = json.load(file)
            self.num_samples, self.origin = int(index['num_samples']), index['origin']
            known = isinstance(self.origin, dict)
            if not (known and 0 < self.num_samples <= MOST_SAMPLES):
                raise ValueError(f'{self.num_samples} samples of {self.origin}')
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise FeatureCacheError(
                f'{folder} is not a feature cache: {INDEX} is missing or damaged; '
                'tools/extract_features.py makes one'
            ) from error
        self._shape = None
        key = json.dumps(self.origin, sort_keys=True)
        self._key = hashlib.sha256(key.encode()).hexdigest()

    @classmethod
    def create(cls, folder: str, num_samples: int, origin: dict) -> FeatureCache:
        """Create a cache, or continue one.

        Args:
            folder (str): A folder that is new, empty, or a cache of the same origin.
            num_samples (int): Number of samples in the complete cache.
            origin (dict): Everything that determines the features, as strings; the keys
                are used in error messages.

        Raises:
            FeatureCacheError: If the folder has other content, or features of another
                origin.
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
                f'{folder} contains features of other {", ".join(stale)}: choose '
                'another folder or delete this one'
            )
        return cache

    def path(self, index: int) -> str:
        """A sample's file; 1000 per folder."""
        return osp.join(self.folder, f'{index // 1000:05}', f'{index:08}.pth')

    def missing(self) -> list[int]:
        """Indices of the samples that have no file yet."""
        return [i for i in range(self.num_samples) if not osp.exists(self.path(i))]

    def save(self, index: int, features: Tensor, label: Tensor) -> None:
        """Write a sample: the tokens of its views, (views, L, C), and its label."""
        content = dict(features=features.clone(), label=label.clone())
        content['sample'] = f'{index} of {self._key}'
        with replacing(self.path(index), 'wb') as file:
            torch.save(content, file)

    def load(self, index: int) -> tuple[Tensor, Tensor]:
        """Read a sample.

        Raises:
            FeatureCacheError: If the file belongs to another cache or sample, or its
                features are damaged.
            CheckpointError: If the file cannot be read.
        """
        path = self.path(index)
        content = safe_load(path, 'cpu')
        reason = self._fault_of(content, index)
        if reason:
            raise FeatureCacheError(
                f'{path} {reason}: delete it and run tools/extract_features.py again'
            )
        self._shape = content['features'].shape
        return content['features'], content['label']

    def _fault_of(self, content, index):
        if not _is_sample(content):
            return 'is not a sample of a cache, with features and an integer label'
        if content.get('sample') != f'{index} of {self._key}':
            return 'belongs to another cache or another sample'
        features = content['features']
        if features.ndim != 3 or self._shape not in (None, features.shape):
            return (
                f'has features of shape {tuple(features.shape)}, expected '
                f'{tuple(self._shape or ("views", "tokens", "channels"))}'
            )
        if not features.isfinite().all():
            return 'has features that are not finite'
        return None


def check_same_weights(folders: Iterable[str]) -> None:
    """Make sure that caches contain features of the same backbone.

    Args:
        folders (Iterable[str]): Folders of caches, such as those for training and
            validation.

    Raises:
        FeatureCacheError: For the first folder that differs or is not a cache.
    """
    first = None
    for folder in folders:
        cache = FeatureCache(folder)
        first = first or cache
        for name in ('weights', 'backbone'):
            if cache.origin.get(name) != first.origin.get(name):
                raise FeatureCacheError(
                    f'{folder} and {first.folder} have features of different {name}: '
                    'make both with the same checkpoint and config'
                )


def _is_sample(content) -> bool:
    if not isinstance(content, dict):
        return False
    features, label = content.get('features'), content.get('label')
    if not all(map(_is_plain, (features, label))):
        return False
    return features.is_floating_point() and label.dtype == torch.int64


def _is_plain(value) -> bool:
    """Whether a value is a dense tensor that is stored in full."""
    if not isinstance(value, Tensor) or value.is_meta or value.is_quantized:
        return False
    if value.is_nested or value.layout != torch.strided:
        return False
    return value.nbytes <= value.untyped_storage().nbytes()


@DATASETS.register_module()
class CachedFeatures(BaseActionDataset):
    """A dataset of cached features instead of clips.

    Use it for a recognizer with ``backbone=dict(type='torch.nn.Identity')``, whose head
    then gets the same input as from the frozen backbone. Several caches of one list,
    made with different seeds, form a ``ConcatDataset`` of augmented views.

    Args:
        ann_file (str): Folder of a complete cache.
        **kwargs: Further arguments of MMEngine's ``BaseDataset``.

    Raises:
        FeatureCacheError: If ``ann_file`` is not a cache or lacks samples, or its first
            sample is damaged.
    """

    def __init__(self, ann_file: str, **kwargs) -> None:
        super().__init__(ann_file, **{'pipeline': [], **kwargs})

    def load_data_list(self) -> list[dict]:
        self.cache = FeatureCache(self.ann_file)
        missing = len(self.cache.missing())
        if missing:
            raise FeatureCacheError(
                f'{missing} of {self.cache.num_samples} samples of {self.ann_file} are '
                'missing: run tools/extract_features.py again to continue'
            )
        self.cache.load(0)  # sets the shape that all must have
        return [dict(number=i) for i in range(self.cache.num_samples)]

    def prepare_data(self, idx: int) -> dict:
        idx = self.get_data_info(idx)['number']
        features, label = self.cache.load(idx)
        # autocast to bfloat16 cannot stack float16
        sample = ActionDataSample(gt_label=label)
        sample.set_metainfo(dict(file=self.cache.path(idx)))
        return dict(inputs=features.float(), data_samples=sample)
