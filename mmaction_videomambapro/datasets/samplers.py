"""Order and weights of samples, and a seed for each of them."""

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

MOST_SAMPLES = 10**8  # in an epoch: their numbers are held in memory
MOST_TIMES = 10**5  # each of them


class SeededIndex(int):
    """Number of a sample, with the seed of its random numbers this time."""

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
    """Start Python's, NumPy's and PyTorch's from a seed; they go on as before after."""
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
    """MMEngine's sampler, with a seed for every sample, and weights.

    The random numbers of a sample's transforms depend on the seed, the epoch and its
    place in the epoch: not on the number of worker processes or GPUs, and not on
    whether the run was resumed. Works with all datasets of MMEngine.

    With ``num_samples`` below the length of the dataset, epochs go on where the last
    one stopped; resuming costs nothing.

    Args:
        dataset (Sized): The dataset.
        shuffle (bool): Whether to shuffle. Defaults to True.
        weights (str | Sequence[float], optional): ``'class_balanced'``, all classes
            as often as each other, or the share of each group of samples in an epoch.
            Samples of a group are drawn alike, with replacement.
            Defaults to None, each sample once.
        groups (str): What ``weights`` are for: ``'class'``, or ``'dataset'`` in a
            ``ConcatDataset``. Defaults to ``'class'``.
        num_samples (int, optional): In an epoch, over all processes; at most 10^8, and
            10^5 times the length of the dataset. Defaults to None, that length.
        seed (int, optional): The same in all processes. Defaults to None, the run's.
        round_up (bool): As for ``DefaultSampler``. Defaults to True.

    Raises:
        ListError: If weights fit no groups, samples have several labels, or
            ``num_samples`` is out of bounds; a ValueError.
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
                f'{total!r} samples from a dataset of {len(dataset)}: num_samples has '
                f'to be a whole number from 1 to {most}'
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
        """What all processes draw in this epoch, (total_size,)."""
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
                f'{np.size(weights)} weights for {names[-1] + 1} of {kind}: one is '
                'needed for each, none below 0 or infinite, not all 0'
            )
        shares = shares[names]
        if not shares.any():
            raise _refusal(f'all samples are of a {kind} whose weight is 0')
    each = shares / counts
    return each[groups] / each[groups].sum()


def _groups(dataset, kind):
    """The number of each sample's group."""
    if kind == 'dataset':
        if not hasattr(dataset, 'datasets'):
            raise _refusal("groups='dataset' is for a ConcatDataset")
        lengths = [len(part) for part in dataset.datasets]
        return np.repeat(np.arange(len(lengths)), lengths)
    if kind != 'class':
        raise _refusal(f"groups is {kind!r}, expected 'class' or 'dataset'")
    labels = [dataset.get_data_info(i)['label'] for i in range(len(dataset))]
    if any(np.ndim(label) or label < 0 for label in labels):
        raise _refusal("groups='class' needs exactly one label of each sample")
    return np.array(labels)


def _refusal(reason):
    return ListError.of('SeededSampler', reason)
