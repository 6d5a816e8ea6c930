"""Curves and shares are those of plain loops; good maps are told from bad ones."""

import numpy as np
import pytest
import torch
from torch import nn

from mmaction_videomambapro.explain.faithfulness import (
    Curves,
    coverage,
    curves,
    share_inside,
)


class Linear(nn.Module):
    """Scores that are linear in the pixels, as MMAction2's recognizers give them."""

    def __init__(self, shape, classes=3):
        super().__init__()
        self.weight = torch.randn(classes, *shape) / 8

    def extract_feat(self, inputs, stage):
        assert inputs.shape[1] == 1
        assert stage == 'head'
        return torch.einsum('nvcthw,kcthw->nk', inputs, self.weight), {}


@pytest.fixture
def model():
    return Linear((3, 4, 12, 8))


@pytest.fixture
def clips():
    return torch.randn(3, 3, 4, 12, 8)


def probability(model, clip, target):
    scores, _ = model.extract_feat(clip[None, None], 'head')
    return scores.softmax(1)[0, target].item()


@pytest.mark.parametrize('batch_size', [1, 7, 100])
@pytest.mark.parametrize('steps', [1, 5, 12])
def test_curves_are_those_of_a_loop(model, clips, steps, batch_size):
    maps = torch.randn(3, 2, 3, 2)
    target = torch.tensor([2, 0, 1])
    found = curves(model, clips, maps, target, steps, batch_size)
    assert found.deletion.shape == found.insertion.shape == (3, steps + 1)
    for clip, map_, label, deletion, insertion in zip(clips, maps, target, *found):
        mean = clip.mean((1, 2, 3), keepdim=True)
        order = sorted(np.ndindex(2, 3, 2), key=lambda at: -map_[at].item())
        for i in range(steps + 1):
            gone, shown = clip.clone(), mean.expand_as(clip).clone()
            for t, y, x in order[: round(12 * i / steps)]:
                patch = (
                    slice(None),
                    slice(2 * t, 2 * t + 2),
                    slice(4 * y, 4 * y + 4),
                    slice(4 * x, 4 * x + 4),
                )
                gone[patch], shown[patch] = mean, clip[patch]
            assert deletion[i].item() == pytest.approx(
                probability(model, gone, label), abs=1e-5
            )
            assert insertion[i].item() == pytest.approx(
                probability(model, shown, label), abs=1e-5
            )


def test_the_target_is_what_the_model_predicts(model, clips):
    maps = torch.randn(3, 2, 3, 2)
    scores, _ = model.extract_feat(clips[:, None], 'head')
    expected = curves(model, clips, maps, scores.argmax(1))
    assert torch.equal(curves(model, clips, maps).deletion, expected.deletion)


def test_the_right_map_beats_a_random_one_and_its_own_contrary(model, clips):
    target = torch.zeros(3, dtype=torch.long)
    details = clips - clips.mean((2, 3, 4), keepdim=True)
    shares = (details * model.weight[0]).sum(1)
    right = nn.functional.avg_pool3d(shares, (2, 4, 4))
    maps = right, torch.rand(right.shape), -right
    areas = [curves(model, clips, x, target, 12).areas() for x in maps]
    deletion, insertion = (torch.stack(x).mean(1) for x in zip(*areas))
    assert deletion[0] < deletion[1] < deletion[2]
    assert insertion[0] > insertion[1] > insertion[2]


def test_areas():
    rising, falling = torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    deletion, insertion = Curves(falling, rising).areas()
    assert deletion.tolist() == [0.25]
    assert insertion.tolist() == [0.5]


def test_coverage_counts_pixels():
    boxes = np.array([[1, 2, 5, 9], [0, 0, 8, 12], [3, 3, 3, 3], [6, 10, 8, 12]])
    inside = torch.zeros(4, 12, 8)
    for frame, (left, top, right, bottom) in zip(inside, boxes):
        frame[top:bottom, left:right] = 1
    expected = nn.functional.avg_pool3d(inside[None], (2, 4, 4))[0]
    torch.testing.assert_close(coverage(boxes, (4, 12, 8), (2, 3, 2)), expected)
    half = coverage(np.array([[0, 0, 2.5, 4]]), (1, 4, 4), (1, 1, 1))
    assert half.item() == pytest.approx(2.5 / 4)


def test_share_inside_a_box():
    covered = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    maps = torch.tensor([[[[2.0, 4.0], [2.0, -9.0]]]])
    assert share_inside(maps, covered).tolist() == [0.5]
    everywhere = share_inside(torch.ones(1, 1, 2, 2), covered)
    assert everywhere.item() == covered.mean().item()
    assert share_inside(-torch.ones(1, 1, 2, 2), covered).isnan().all()
