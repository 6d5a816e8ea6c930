"""Random erasing: where, how often, and with what."""

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample


@pytest.fixture(autouse=True)
def same_numbers_of_numpy(scope):
    np.random.seed(0)


def preprocessor(**erasing):
    return MODELS.build(
        dict(
            type='ActionDataPreprocessor',
            mean=[100.0] * 3,
            std=[50.0] * 3,
            format_shape='NCTHW',
            blending=dict(type='ClipRandomErasing', **erasing),
        )
    )


def erase(model, batch=64, value=100, size=(40, 60), training=True):
    """Clips of one brightness, normalised to 0, and a mask of what is erased."""
    clip = torch.full((1, 3, 4, *size), value, dtype=torch.uint8)
    data = dict(
        inputs=[clip.clone() for _ in range(batch)],
        data_samples=[ActionDataSample().set_gt_label(i % 5) for i in range(batch)],
    )
    data = model(data, training=training)
    inputs = data['inputs'][:, 0]  # (B, C, T, H, W)
    return inputs, inputs != 0, data['data_samples']


def test_boxes_are_the_same_in_all_frames_and_channels():
    inputs, erased, _ = erase(preprocessor(erase_prob=1.0))
    assert (erased == erased[:, :1, :1]).all()
    shapes = set()
    for mask in erased[:, 0, 0]:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        h, w = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert mask.sum() == h * w  # a box
        assert 0.01 < h * w / mask.numel() < 0.36
        assert 0.25 < h / w < 4
        shapes.add((int(rows[0]), int(columns[0]), int(h), int(w)))
    assert len(shapes) > 60
    noise = inputs[erased]
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert not torch.equal(inputs[0, :, 0], inputs[0, :, 1])  # drawn for each frame


def test_a_quarter_of_the_clips():
    _, erased, _ = erase(preprocessor(), batch=400)
    assert 0.2 < erased.flatten(1).any(1).float().mean() < 0.3


def test_only_in_training():
    _, erased, _ = erase(preprocessor(erase_prob=1.0), training=False)
    assert not erased.any()


def test_box_that_never_fits():
    _, erased, _ = erase(preprocessor(erase_prob=1.0, area_range=(1, 1)), batch=4)
    assert not erased.any()


def test_in_front_of_a_blending():
    model = preprocessor(
        erase_prob=1.0,
        blending=dict(
            type='RandomBatchAugment',
            augments=[dict(type='MixupBlending', num_classes=5, alpha=0.8)],
            probs=[1.0],
        ),
    )
    _, erased, samples = erase(model, batch=8)
    assert erased.flatten(1).any(1).all()
    assert samples[0].gt_label.shape == (5,)
    assert sum(s.gt_label for s in samples).sum() == pytest.approx(8)


def test_same_seed_same_noise():
    results = []
    for _ in range(2):
        np.random.seed(1)
        torch.manual_seed(1)
        results.append(erase(preprocessor(), batch=16)[0])
    assert torch.equal(*results)
