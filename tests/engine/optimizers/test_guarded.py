"""Clipping module by module, and skipped updates."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from torch import nn

from mmaction_videomambapro.engine.optimizers.guarded import (
    GuardedAmpOptimWrapper,
    GuardedOptimWrapper,
    TrainingStopped,
)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.predictor = nn.Linear(2, 1, False), nn.Linear(3, 1, False)
        self.target = nn.Linear(2, 1).requires_grad_(False)


def wrapper(model, cls=GuardedOptimWrapper, init=0, **config):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    if cls is GuardedAmpOptimWrapper:
        config = dict(dtype='bfloat16', loss_scale=1024.0, **config)
    wrapper = cls(optimizer=optimizer, **config)
    wrapper.initialize_count_status(model, init, 1000)
    return wrapper


def loss_of(model, scale=1.0):
    """Gradients of norm 30 for the backbone and 0.2 for the predictor."""
    backbone = 30 * model.backbone.weight[0, 0]
    return scale * (backbone + 0.2 * model.predictor.weight[0, 1])


@pytest.mark.parametrize('cls', [GuardedOptimWrapper, GuardedAmpOptimWrapper])
@pytest.mark.parametrize('accumulate', [1, 2])
def test_modules_are_clipped_apart_and_after_the_warm_up(cls, accumulate):
    model = Pair()
    wrapped = wrapper(
        model,
        cls,
        clip_grad=dict(max_norm=10.0),
        clip_begin=2,
        accumulative_counts=accumulate,
    )
    steps = []
    for _ in range(4 * accumulate):
        before = [p.weight.detach().clone() for p in (model.backbone, model.predictor)]
        wrapped.update_params(loss_of(model))
        after = (model.backbone.weight, model.predictor.weight)
        steps.append([float((b - a.detach()).norm()) for b, a in zip(before, after)])
    updates = torch.tensor(steps[accumulate - 1 :: accumulate])
    expected = [[30, 0.2], [30, 0.2], [10, 0.2], [10, 0.2]]
    torch.testing.assert_close(updates, torch.tensor(expected), rtol=1e-4, atol=1e-4)
    hub = MessageHub.get_current_instance()
    for name, norm in (('backbone', 30), ('predictor', 0.2)):
        logged = hub.get_scalar(f'train/grad_norm_{name}').current()
        assert logged == pytest.approx(norm, rel=1e-4)


def test_without_clipping_it_is_mmengines():
    models = [Pair() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    for model, cls in zip(models, (OptimWrapper, GuardedOptimWrapper)):
        wrapped = wrapper(model, cls, accumulative_counts=2)
        for _ in range(4):
            wrapped.update_params(loss_of(model))
    assert torch.equal(models[0].backbone.weight, models[1].backbone.weight)


def run(wrapped, model, scales):
    """Which of the losses led to an update; the value of a loss is its scale."""
    updated = []
    for scale in scales:
        before = model.backbone.weight.detach().clone()
        offset = loss_of(model) - loss_of(model).detach()
        wrapped.update_params(offset + scale)
        updated.append(not torch.equal(before, model.backbone.weight))
    return updated


NORMAL = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95]


def test_spikes_are_skipped_and_forgotten():
    model = Pair()
    wrapped = wrapper(model, guard=dict(num_std=4, window=5))
    assert run(wrapped, model, [*NORMAL, 1.2, 3.0, 2.0, 1.0]) == [
        *[True] * 7,
        False,
        False,
        True,
    ]
    assert model.backbone.weight.grad is None  # of the skipped ones nothing remains
    assert 3.0 not in wrapped.guard.losses
    late = wrapper(model, guard=dict(num_std=4, window=7))
    assert all(run(late, model, [*NORMAL, 3.0]))  # too few before it to judge


def test_one_spike_spoils_what_is_accumulated_with_it():
    model = Pair()
    wrapped = wrapper(model, guard=dict(num_std=4, window=6), accumulative_counts=2)
    assert run(wrapped, model, [*NORMAL, 5.0, 1.0, 1.0, 1.0]) == [
        *[False, True] * 3,
        *[False, False, False, True],
    ]


def test_spikes_in_a_row_end_the_training():
    model = Pair()
    wrapped = wrapper(model, guard=dict(num_std=4, window=5, max_skips=3))
    run(wrapped, model, [*NORMAL, 5, 5, 1, 5, 5])
    with pytest.raises(TrainingStopped, match='of 3 iterations in a row was too high'):
        run(wrapped, model, [5.0])


@pytest.mark.parametrize('loss', [float('nan'), float('inf')])
def test_a_nan_loss_ends_training_first(loss):
    model = Pair()
    wrapped = wrapper(model, init=6)
    before = model.backbone.weight.detach().clone()
    with pytest.raises(TrainingStopped, match=f'loss is {loss} at iteration 7'):
        wrapped.update_params(loss_of(model).square() * loss)
    assert torch.equal(model.backbone.weight, before)


def test_moving_averages_keep_step_with_accumulation():
    model = Pair()
    model.average = ExponentialMovingAverage(model.backbone, interval=2)
    wrapper(model, accumulative_counts=2)
    with pytest.raises(ValueError, match=r"'average' has interval=2, but .* is 3"):
        wrapper(model, accumulative_counts=3)


def test_resumed_guard_judges_as_the_first():
    model = Pair()
    first = wrapper(model, guard=dict(num_std=4, window=5, max_skips=2))
    run(first, model, [*NORMAL, 5.0])
    state = copy.deepcopy(first.state_dict())
    second = wrapper(model, guard=dict(num_std=4, window=5, max_skips=2))
    second.load_state_dict(state)
    assert list(second.guard.losses) == list(first.guard.losses)
    with pytest.raises(TrainingStopped, match='2 iterations in a row'):
        run(second, model, [5.0])
    plain = OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=1.0))
    second.load_state_dict(plain.state_dict())  # from a run without a guard
