"""AutoAugment's policies, by how often and how strongly each operation is applied."""

from collections import defaultdict
from itertools import chain

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

from mmaction_videomambapro.datasets.transforms.augment_operations import OPERATIONS

# 25 x how often in a clip, and the mean level: sums over the tables as published
PUBLISHED = {
    'original': {
        'AutoContrast': (1.2, 5.0), 'Color': (3.8, 3.474), 'Contrast': (2.0, 8.0),
        'Equalize': (11.2, 6.161), 'Invert': (1.8, 5.333),
        'PosterizeOriginal': (2.8, 6.214), 'Rotate': (3.6, 8.0),
        'Sharpness': (0.4, 7.0), 'ShearX': (0.6, 5.0), 'Solarize': (3.6, 5.5),
    },
    'v0': {
        'AutoContrast': (1.0, 4.0), 'Color': (5.0, 4.0), 'Equalize': (8.0, 4.225),
        'Invert': (0.4, 9.0), 'Posterize': (1.2, 3.333), 'Rotate': (4.6, 5.87),
        'ShearX': (0.2, 9.0), 'ShearY': (2.6, 3.0), 'Solarize': (4.6, 5.217),
        'SolarizeAdd': (1.4, 4.714), 'TranslateYRel': (0.8, 9.0),
    },
}  # fmt: skip


@pytest.mark.parametrize('policy', PUBLISHED)
def test_policies(policy):
    pairs = TRANSFORMS.build(dict(type='ClipAutoAugment', policy=policy)).pairs
    assert len(pairs) == 25
    often, level = defaultdict(float), defaultdict(float)
    for name, probability, strength in chain.from_iterable(pairs):
        often[name] += probability
        level[name] += probability * strength
    found = {name: (often[name], level[name] / often[name]) for name in often}
    assert set(found) == set(PUBLISHED[policy])
    for name, expected in PUBLISHED[policy].items():
        assert found[name] == pytest.approx(expected, abs=0.001)


def test_draws(monkeypatch):
    """Pairs equally often, operations with their probability, in both directions."""
    seen = defaultdict(list)
    for name in OPERATIONS:
        monkeypatch.setitem(
            OPERATIONS, name, lambda frames, how, name=name: seen[name].append(how)
        )
    transform = TRANSFORMS.build(dict(type='ClipAutoAugment', fill=(1, 2, 3)))
    np.random.seed(0)
    for _ in range(5000):
        transform(dict(imgs=[]))
    for name, (often, _) in PUBLISHED['original'].items():
        assert len(seen[name]) / 5000 == pytest.approx(often / 25, abs=0.02)
    assert abs(np.mean([how.sign for how in seen['Rotate']])) < 0.1
    assert len({how.interpolation for how in seen['Rotate']}) == 2
    assert {how.fill for how in seen['Rotate']} == {(1, 2, 3)}


def test_same_for_all_frames_and_the_same_seed():
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    transform = TRANSFORMS.build(dict(type='ClipAutoAugment'))
    different = set()
    for seed in range(30):
        np.random.seed(seed)
        first, second = transform(dict(imgs=[frame, frame.copy()]))['imgs']
        assert (first == second).all()
        np.random.seed(seed)
        assert (transform(dict(imgs=[frame]))['imgs'][0] == first).all()
        different.add(first.tobytes())
    assert len(different) > 10


def test_unknown_policy_is_named():
    with pytest.raises(ValueError, match="policy is 'v1', expected one of"):
        TRANSFORMS.build(dict(type='ClipAutoAugment', policy='v1'))
