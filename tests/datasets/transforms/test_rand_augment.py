"""Compare operations with Pillow, which timm uses, and test RandAugment."""

import cv2
import numpy as np
import pytest
from mmaction.registry import TRANSFORMS
from mmengine.config import Config
from PIL import Image, ImageEnhance, ImageOps

from mmaction_videomambapro.datasets.transforms.augment_operations import (
    OPERATIONS,
    Draw,
)
from tests.conftest import ROOT


def factor(level, sign):
    return max(0.1, 1 + level / 10 * 0.9 * sign)


def solarize_add(image, level):
    add = min(128, int(level / 10 * 110))
    return image.point([min(255, i + add) if i < 128 else i for i in range(256)] * 3)


def posterize(image, bits):
    # ImageOps refuses 0 bits
    return image.point([i & ~(2 ** (8 - bits) - 1) for i in range(256)] * 3)


def affine(matrix):
    def apply(image, level, sign, resample=Image.Resampling.BILINEAR):
        width, height = image.size
        data = matrix(level / 10 * sign, width, height)
        return image.transform(
            image.size, Image.Transform.AFFINE, data, resample,
            fillcolor=(128, 128, 128),
        )  # fmt: skip

    return apply


REFERENCE = {
    'AutoContrast': lambda x, level, sign: ImageOps.autocontrast(x),
    'Equalize': lambda x, level, sign: ImageOps.equalize(x),
    'Invert': lambda x, level, sign: ImageOps.invert(x),
    'Rotate': lambda x, level, sign, resample=Image.Resampling.BILINEAR: x.rotate(
        level * 3 * sign, resample, fillcolor=(128, 128, 128)
    ),
    'Posterize': lambda x, level, sign: posterize(x, int(level / 10 * 4)),
    'PosterizeIncreasing': lambda x, level, sign: posterize(x, 4 - int(level / 10 * 4)),
    'PosterizeOriginal': lambda x, level, sign: posterize(x, 4 + int(level / 10 * 4)),
    'Solarize': lambda x, level, sign: ImageOps.solarize(x, int(level / 10 * 256)),
    'Color': lambda x, level, sign: ImageEnhance.Color(x).enhance(0.1 + 0.18 * level),
    'Contrast': lambda x, level, sign: ImageEnhance.Contrast(x).enhance(
        0.1 + 0.18 * level
    ),
    'Sharpness': lambda x, level, sign: ImageEnhance.Sharpness(x).enhance(
        0.1 + 0.18 * level
    ),
    'SolarizeIncreasing': lambda x, level, sign: ImageOps.solarize(
        x, 256 - min(256, int(level / 10 * 256))
    ),
    'SolarizeAdd': lambda x, level, sign: solarize_add(x, level),
    'ColorIncreasing': lambda x, *how: ImageEnhance.Color(x).enhance(factor(*how)),
    'ContrastIncreasing': lambda x, *how: ImageEnhance.Contrast(x).enhance(
        factor(*how)
    ),
    'BrightnessIncreasing': lambda x, *how: ImageEnhance.Brightness(x).enhance(
        factor(*how)
    ),
    'SharpnessIncreasing': lambda x, *how: ImageEnhance.Sharpness(x).enhance(
        factor(*how)
    ),
    'ShearX': affine(lambda part, w, h: (1, 0.3 * part, 0, 0, 1, 0)),
    'ShearY': affine(lambda part, w, h: (1, 0, 0, 0.3 * part, 1, 0)),
    'TranslateXRel': affine(lambda part, w, h: (1, 0, 0.45 * part * w, 0, 1, 0)),
    'TranslateYRel': affine(lambda part, w, h: (1, 0, 0, 0, 1, 0.45 * part * h)),
}
GEOMETRIC = 'Rotate', 'ShearX', 'ShearY', 'TranslateXRel', 'TranslateYRel'


def smooth_frame(seed=0):
    """All values, without edges that would amplify differences of interpolation."""
    y, x = np.mgrid[:48, :64]
    random = np.random.default_rng(seed)
    waves = [
        np.sin(x * a + y * b + c) for a, b, c in random.uniform(0.05, 0.15, (3, 3)) * 2
    ]
    return (np.stack(waves, -1) * 120 + 125).astype(np.uint8)


def test_operations_are_those_of_the_reference():
    assert set(OPERATIONS) == set(REFERENCE)


@pytest.mark.parametrize('sign', [-1, 1])
@pytest.mark.parametrize('level', [0.0, 3.3, 7.0, 10.0])
@pytest.mark.parametrize('name', REFERENCE)
def test_against_pillow(name, level, sign):
    frames = [smooth_frame(seed) for seed in range(2)]
    before = [frame.copy() for frame in frames]
    results = OPERATIONS[name](frames, Draw(level, sign))
    assert all((frame == copy).all() for frame, copy in zip(frames, before))
    for frame, result in zip(frames, results):
        expected = np.asarray(REFERENCE[name](Image.fromarray(frame), level, sign))
        assert result.dtype == np.uint8
        assert result.shape == frame.shape
        assert result.flags.c_contiguous
        assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize('name', GEOMETRIC)
def test_bicubic_differs_from_pillow_by_the_kernel_alone(name):
    """At the border, too; sharp contrasts are most sensitive to the kernel."""
    resample = Image.Resampling.BICUBIC
    frame = smooth_frame()
    for level, sign in ((3.3, -1), (10.0, 1)):
        (result,) = OPERATIONS[name]([frame], Draw(level, sign, cv2.INTER_CUBIC))
        image = REFERENCE[name](Image.fromarray(frame), level, sign, resample)
        difference = np.abs(result.astype(int) - np.asarray(image))
        assert difference.max() <= 4
        assert difference.mean() < 0.8


def augment(imgs, **kwargs):
    return TRANSFORMS.build(dict(type='ClipRandAugment', **kwargs))(dict(imgs=imgs))


def test_recipes_interpolate_bicubically():
    """As with --train_interpolation in VideoMAE and VideoMamba, and in V-JEPA."""
    found = 0
    for path in (ROOT / 'configs/_base_/datasets').glob('*.py'):
        text = path.read_text()
        if 'ClipRandAugment' not in text and 'ClipAutoAugment' not in text:
            continue
        for pipeline in walk(Config.fromfile(path).to_dict()):
            if pipeline.get('type') in ('ClipRandAugment', 'ClipAutoAugment'):
                assert pipeline['interpolation'] == 'bicubic', path
                found += 1
    assert found >= 4


def walk(node):
    """All dictionaries below."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list, tuple)):
            yield from walk(child)


def test_same_for_all_frames_and_the_same_seed():
    frame = smooth_frame()
    seen = set()
    for seed in range(20):
        np.random.seed(seed)
        first, second = augment([frame, frame.copy()])['imgs']
        assert (first == second).all()
        np.random.seed(seed)
        assert (augment([frame])['imgs'][0] == first).all()
        seen.add(first.tobytes())
    assert len(seen) > 10


def test_policy_decides():
    counts = []
    transform = TRANSFORMS.build(
        dict(type='ClipRandAugment', policy='rand-m9-n2-mstd0-inc1')
    )
    assert (transform.magnitude, transform.count, transform.deviation) == (9, 2, 0)
    frame = smooth_frame()
    for _ in range(400):
        (result,) = augment([frame], policy='rand-m9-n1-inc1')['imgs']
        counts.append((result == frame).all())
    assert 0.4 < np.mean(counts) < 0.6  # an operation is left out half of the times


def test_interpolation_decides():
    names = {}
    for name in ('random', 'bilinear', 'bicubic'):
        np.random.seed(5)
        names[name] = [
            augment([smooth_frame()], interpolation=name)['imgs'][0].tobytes()
            for _ in range(20)
        ]
    assert names['bilinear'] != names['bicubic']
    with pytest.raises(ValueError, match="interpolation is 'nearest'"):
        augment([], interpolation='nearest')


@pytest.mark.parametrize('policy', ['rand-m7', 'augmix-m3', 'rand-m7-x3-inc1', ''])
def test_unknown_policy_is_named(policy):
    with pytest.raises(ValueError, match=f'policy is {policy!r}'):
        augment([], policy=policy)


def test_fill_comes_in_from_outside():
    frame = np.zeros((20, 20, 3), np.uint8)
    (moved,) = OPERATIONS['TranslateXRel']([frame], Draw(10, 1, fill=(10, 20, 30)))
    assert (moved[:, -5:] == (10, 20, 30)).all()
    assert (moved[:, :5] == 0).all()
    np.random.seed(0)
    colours = set()
    for _ in range(40):
        (result,) = augment([frame], fill=(10, 20, 30))['imgs']
        colours.update(map(tuple, result.reshape(-1, 3)))
    assert (10, 20, 30) in colours
    assert (128, 128, 128) not in colours
