"""Order, weights and random seeds of samples."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler

from ..compat import patch
from ..compat.helpers import replace
from .rows import ListError

MOST_SAMPLES = 10**8  # per epoch: their indices are held in memory
MOST_TIMES = 10**5  # repetitions of the dataset per epoch


class SeededIndex(int):
    """Index of a sample, with the random seed for this draw."""

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __getnewargs__(self) -> tuple[int, int]:
        return int(self), self.seed

    def __sub__(self, other: int) -> SeededIndex:  # in ConcatDataset
        return SeededIndex(int(self) - other, self.seed)

    def __mod__(self, other: int) -> SeededIndex:  # in RepeatDataset
        return SeededIndex(int(self) % other, self.seed)


@contextmanager
def random_numbers_from(seed: int) -> Iterator[None]:
    """Seed Python, NumPy and PyTorch inside the block; restore their states after."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@patch(
    'mmengine.dataset.base_dataset',
    symptom='augmentations depend on the number of workers, and change on resuming',
    until='MMEngine seeds every sample, as SeededSampler does',
)
def _samples_without_seeds(base_dataset):
    @replace(base_dataset.BaseDataset, '__getitem__')
    def __getitem__(original, self, idx):
        if not isinstance(idx, SeededIndex):
            return original(self, idx)
        with random_numbers_from(idx.seed):
            return original(self, int(idx))


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's sampler, with a random seed for every sample, and optional weights.

    The random numbers of a sample's transforms depend on the seed, the epoch and the
    sample's place in the epoch, but not on the number of worker processes or GPUs, nor
    on whether the run was resumed. Works with all datasets of MMEngine.

    With ``num_samples`` below the length of the dataset, each epoch continues where the
    last one stopped; resuming costs nothing.

    Args:
        dataset (Sized): The dataset.
        shuffle (bool): Whether to shuffle. Defaults to True.
        weights (str | Sequence[float], optional): ``'class_balanced'`` (all classes
            equally often), or the share of each group of samples in an epoch. Samples
            of a group are equally likely and drawn with replacement.
            Defaults to None (each sample once).
        groups (str): The groups that ``weights`` refer to: ``'class'``, or
            ``'dataset'`` for a ``ConcatDataset``. Defaults to ``'class'``.
        num_samples (int, optional): Samples per epoch, over all processes; at most
            10^8, and 10^5 times the length of the dataset.
            Defaults to None (the length of the dataset).
        seed (int, optional): Must be the same in all processes.
            Defaults to None (the seed of the run).
        round_up (bool): Repeat samples so that all processes get equally many.
            Defaults to True.

    Raises:
        ListError: If ``weights`` do not match the groups, samples have several labels,
            or ``num_samples`` is out of range. It is a ValueError.
    """

    def __init__(
        self,
        dataset,
        shuffle: bool = True,
        weights: str | Sequence[float] | None = None,
        groups: str = 'class',
        num_samples: int | None = None,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        super().__init__(dataset, shuffle, seed, round_up)
        total = len(dataset) if num_samples is None else num_samples
        most = min(MOST_SAMPLES, len(dataset) * MOST_TIMES)
        if len(dataset) < 1:
            raise _refusal('the dataset is empty')
        if not isinstance(total, int) or not 1 <= total <= most:
            raise _refusal(
                f'num_samples is {total!r}, but with a dataset of {len(dataset)} '
                f'samples it must be an integer in [1, {most}]'
            )
        if round_up:
            self.num_samples = -(-total // self.world_size)
            self.total_size = self.num_samples * self.world_size
        else:
            self.num_samples = len(range(self.rank, total, self.world_size))
            self.total_size = total
        self.weights = None
        if weights is not None:
            self.weights = sample_weights(_groups(dataset, groups), weights, groups)

    def __iter__(self) -> Iterator[SeededIndex]:
        indices = self._indices()
        for place in range(self.rank, self.total_size, self.world_size):
            sequence = np.random.SeedSequence([self.seed, self.epoch, place])
            yield SeededIndex(indices[place], int(sequence.generate_state(1)[0]))

    def _indices(self) -> np.ndarray:
        """Indices of this epoch's samples in all processes, (total_size,)."""
        n = len(self.dataset)
        if self.weights is not None:
            generator = np.random.default_rng([self.seed, self.epoch])
            return generator.choice(n, self.total_size, p=self.weights)
        if not self.shuffle:
            return np.arange(self.total_size) % n
        # one permutation after the other, cut into epochs
        start = self.epoch * self.total_size
        first, last = start // n, (start + self.total_size - 1) // n
        permutations = [
            np.random.default_rng([self.seed, k]).permutation(n)
            for k in range(first, last + 1)
        ]
        return np.concatenate(permutations)[start - first * n :][: self.total_size]


def sample_weights(
    groups: np.ndarray, weights: str | Sequence[float], kind: str = 'class'
) -> np.ndarray:
    """Probability of each sample, (n,), so that groups get their shares of an epoch."""
    names, groups, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if isinstance(weights, str):
        if weights != 'class_balanced':
            raise _refusal(
                f"weights is {weights!r}, expected 'class_balanced' or numbers"
            )
        shares = np.ones(len(names))
    else:
        shares = np.asarray(weights, dtype=float)
        known = shares.ndim == 1 and len(shares) > names[-1]
        if known:
            shares = np.where(np.isfinite(shares), shares, -1)
        if not known or (shares < 0).any() or not shares.any():
            raise _refusal(
                f'{np.size(weights)} weights, but groups={kind!r} needs '
                f'{names[-1] + 1}: one each, finite, not negative and not all 0'
            )
        shares = shares[names]
        if not shares.any():
            raise _refusal(f'every sample is in a {kind} with weight 0')
    each = shares / counts
    return each[groups] / each[groups].sum()


def _groups(dataset, kind):
    """The index of each sample's group, (n,)."""
    if kind == 'dataset':
        if not hasattr(dataset, 'datasets'):
            raise _refusal("groups='dataset' is for a ConcatDataset")
        lengths = [len(part) for part in dataset.datasets]
        return np.repeat(np.arange(len(lengths)), lengths)
    if kind != 'class':
        raise _refusal(f"groups is {kind!r}, expected 'class' or 'dataset'")
    labels = [dataset.get_data_info(i)['label'] for i in range(len(dataset))]
    if any(np.ndim(label) or label < 0 for label in labels):
        raise _refusal("groups='class' needs exactly one label per sample")
    return np.array(labels)


def _refusal(reason):
    return ListError.of('SeededSampler', reason)
