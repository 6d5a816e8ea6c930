"""Samples and their random numbers depend only on the seed and the epoch."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.dist import get_dist_info
from mmengine.runner import Runner

from mmaction_videomambapro.datasets import samplers
from mmaction_videomambapro.datasets.lists import ListError
from mmaction_videomambapro.datasets.samplers import SeededIndex


class Noise(BaseDataset):
    """Sample i is its label, i % 3 by default, and three random numbers."""

    def __init__(self, n=12, labels=None):
        self.labels = labels or [i % 3 for i in range(n)]
        super().__init__(pipeline=[draw], serialize_data=False)

    def load_data_list(self):
        return [dict(label=label) for label in self.labels]


def draw(info):
    import random

    import torch

    numbers = [random.random(), float(np.random.rand()), float(torch.rand(()))]
    return [info['sample_idx'], *numbers]


pytestmark = pytest.mark.usefixtures('scope')


def sampler(dataset, **config):
    return DATA_SAMPLERS.build(
        dict(type='SeededSampler', dataset=dataset, **{'seed': 5, **config})
    )


def load(dataset, num_workers=0, epoch=0, **config):
    loader = Runner.build_dataloader(
        dict(
            dataset=dataset,
            sampler=dict(type='SeededSampler', seed=5, **config),
            batch_size=2,
            num_workers=num_workers,
            collate_fn=lambda batch: batch,
        ),
        seed=0,
    )
    loader.sampler.set_epoch(epoch)
    return [sample for batch in loader for sample in batch]


def test_any_number_of_workers_gives_the_same_numbers():
    alone = load(Noise())
    assert load(Noise(), num_workers=1) == alone
    assert load(Noise(), num_workers=3) == alone
    assert sorted(sample[0] for sample in alone) == list(range(12))
    assert len({number for sample in alone for number in sample[1:]}) == 36
    later = load(Noise(), epoch=1)
    assert [sample[0] for sample in later] != [sample[0] for sample in alone]
    assert not {x for s in later for x in s[1:]} & {x for s in alone for x in s[1:]}


def test_random_numbers_outside_are_unaffected():
    """The model's random numbers, if samples are made in its process."""
    np.random.seed(3)
    expected = np.random.rand(2)
    np.random.seed(3)
    first = np.random.rand()
    Noise()[SeededIndex(2, 9)]
    assert [first, np.random.rand()] == expected.tolist()


@pytest.mark.parametrize('wrap', [
    lambda part: ConcatDataset([copy.deepcopy(part), part]),
    lambda part: RepeatDataset(part, 2),
])  # fmt: skip
def test_inside_of_wrappers(wrap):
    """A sample that is drawn twice in an epoch gets different random numbers."""
    alone = load(wrap(Noise(4)))
    assert load(wrap(Noise(4)), num_workers=2) == alone
    assert len({tuple(sample[1:]) for sample in alone}) == 8


def test_seeds_reach_worker_processes():
    index = pickle.loads(pickle.dumps(SeededIndex(7, 2**31)))
    assert (index, index.seed) == (7, 2**31)


@given(
    n=st.integers(1, 9),
    num_samples=st.integers(1, 20),
    world=st.integers(1, 4),
    shuffle=st.booleans(),
)
def test_processes_share_an_epoch(n, num_samples, world, shuffle):
    """Ranks take turns in the order of one process, and epochs omit nothing."""
    indices = []
    for epoch in range(4):
        ranks = []
        for rank in range(world):
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(
                    samplers.DefaultSampler.__init__.__globals__,
                    'get_dist_info', lambda rank=rank: (rank, world),
                )  # fmt: skip
                part = sampler(range(n), num_samples=num_samples, shuffle=shuffle)
            part.set_epoch(epoch)
            ranks.append(list(part))
            assert len(ranks[-1]) == len(part)
        epoch_of_all = [index for step in zip(*ranks) for index in step]
        assert len({index.seed for index in epoch_of_all}) == len(epoch_of_all)
        indices += epoch_of_all
        assert len(epoch_of_all) == -(-num_samples // world) * world
    assert set(indices) <= set(range(n))
    if shuffle:
        counts = np.bincount(indices, minlength=n)
        assert counts.max() - counts.min() <= 1
    assert get_dist_info() == (0, 1)


def test_classes_become_equally_likely():
    dataset = Noise(labels=[0] * 90 + [1] * 9 + [3])
    drawn = sampler(dataset, weights='class_balanced', num_samples=6000)
    labels = np.array(dataset.labels)[[int(i) for i in drawn]]
    counts = np.bincount(labels, minlength=4)
    assert counts[2] == 0
    assert all(1850 < counts[k] < 2150 for k in (0, 1, 3))
    assert len(sampler(dataset, weights='class_balanced')) == 100


def test_classes_and_datasets_get_their_shares():
    dataset = Noise(labels=[0] * 90 + [1] * 10)
    drawn = sampler(dataset, weights=[1, 3], num_samples=4000)
    assert 2850 < sum(i >= 90 for i in drawn) < 3150
    both = ConcatDataset([dataset, Noise(labels=[0] * 10)])
    drawn = sampler(both, weights=[1, 1], groups='dataset', num_samples=4000)
    assert 1850 < sum(i >= 100 for i in drawn) < 2150


def test_a_large_label_costs_no_memory():
    dataset = Noise(labels=[0, 999_999_999, 999_999_999])
    drawn = sampler(dataset, weights='class_balanced', num_samples=2000)
    assert 900 < sum(index == 0 for index in drawn) < 1100
    with pytest.raises(ListError, match=r'2 weights, but .* needs 1000000000'):
        sampler(dataset, weights=[1, 1])


@pytest.mark.parametrize('number', [10**12, 1e12, 2.5, -1, '5', 10**8 + 1])
def test_numbers_of_samples_are_bounded(number):
    with pytest.raises(ListError, match='but with a dataset of 3 samples it must be'):
        sampler(Noise(labels=[0, 1, 2]), num_samples=number)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(weights='balanced'), "weights is 'balanced', expected 'class_balanced'"),
        (dict(weights=[1, 2]), "2 weights, but groups='class' needs 3"),
        (dict(weights=[0, 0, 0]), "3 weights, but groups='class' needs 3"),
        (dict(weights=[1, 1, -1]), 'not negative'),
        (dict(weights=[1], groups='dataset'), 'is for a ConcatDataset'),
        (dict(weights=[1], groups='video'), "groups is 'video'"),
        (dict(num_samples=0), 'num_samples is 0, but with a dataset of 12'),
    ],
)
def test_mismatches_are_reported(config, message):
    with pytest.raises(ValueError, match=message):
        sampler(Noise(), **config)


def test_several_labels_have_no_balance():
    with pytest.raises(ValueError, match='exactly one label'):
        sampler(Noise(labels=[[0, 1], [1]]), weights='class_balanced')
