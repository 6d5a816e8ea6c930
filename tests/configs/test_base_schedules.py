"""Schedules of the bases give the published values, with accumulation or without."""

import pytest
import torch
from mmaction.registry import OPTIM_WRAPPERS, PARAM_SCHEDULERS
from mmengine.config import Config

from tests.conftest import ROOT

# V-JEPA's learning rate and weight decay at the end of epochs, as its code steps them
VJEPA = {
    1: (2.106e-4, 0.04001),
    40: (6.25e-4, 0.0500),
    100: (5.769e-4, 0.0996),
    200: (3.349e-4, 0.2388),
    300: (7.50e-5, 0.3656),
}

pytestmark = pytest.mark.usefixtures('scope')


def schedule(name, epochs, iterations=50, **changes):
    """(rate, decay, decay of exempt parameters) after each of some epochs."""
    cfg = Config.fromfile(ROOT / f'configs/_base_/schedules/{name}.py')
    decayed, other = (torch.nn.Parameter(torch.ones(())) for _ in 'ab')
    optimizer = torch.optim.AdamW(
        [dict(params=[decayed]), dict(params=[other], weight_decay=0.0)],
        lr=cfg.optim_wrapper.optimizer.lr,
        weight_decay=cfg.optim_wrapper.optimizer.weight_decay,
    )
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='GuardedOptimWrapper', optimizer=optimizer)
    )
    schedulers = []
    for config in cfg.param_scheduler:
        config = dict(config, **changes)
        config.setdefault('end', cfg.train_cfg.max_epochs)  # as the runner does
        assert config.pop('convert_to_iter_based')
        cls = PARAM_SCHEDULERS.get(config.pop('type'))
        schedulers.append(
            cls.build_iter_from_epoch(wrapper, epoch_length=iterations, **config)
        )
    values = {}
    for epoch in range(1, max(epochs) + 1):
        for _ in range(iterations):
            groups = optimizer.param_groups
            values[epoch] = (
                groups[0]['lr'], groups[0]['weight_decay'], groups[1]['weight_decay']
            )  # fmt: skip
            wrapper.step()
            for scheduler in schedulers:
                scheduler.step()
    return {epoch: values[epoch] for epoch in epochs}


@pytest.mark.parametrize('accumulate', [1, 3])
def test_vjepa(accumulate):
    """An epoch has more iterations with accumulation, and the schedule is the same."""
    values = schedule('vjepa', VJEPA, iterations=20 * accumulate)
    for epoch, (rate, decay) in VJEPA.items():
        lr, weight_decay, none = values[epoch]
        assert lr == pytest.approx(rate, rel=3e-3), epoch
        assert weight_decay == pytest.approx(decay, rel=3e-3), epoch
        assert none == 0


def test_cool_down_as_released():
    """Over 1.25 times the epochs, which ends at 0.2 x 5.25e-4 + 0.8 x 1e-6."""
    values = schedule('vjepa2_cooldown', (40,), 50, end=50)
    assert values[40][0] == pytest.approx(1.058e-4, rel=2e-3)


def test_vjepa2_and_its_cooldown():
    values = schedule('vjepa2', (1, 20, 40, 41, 300), 20)
    assert values[1][0] == pytest.approx(1.106e-4, rel=0.01)
    assert values[20][0] == pytest.approx((1e-4 + 5.25e-4) / 2, rel=3e-3)
    for epoch in (41, 300):
        assert values[epoch] == pytest.approx((5.25e-4, 0.04, 0))
    values = schedule('vjepa2_cooldown', (1, 20, 40), 50)
    assert values[20][0] == pytest.approx((5.25e-4 + 1e-6) / 2, rel=3e-3)
    assert values[40][0] == pytest.approx(1e-6, rel=0.5)
    assert values[40][0] < 1.4e-6


@pytest.mark.parametrize('name', ['vjepa', 'vjepa2', 'vjepa2_cooldown'])
def test_moving_average_and_clipping_fit_the_epochs(name):
    cfg = Config.fromfile(ROOT / f'configs/_base_/schedules/{name}.py')
    ema = cfg.model.ema
    if name == 'vjepa':
        assert (ema.stretch, 'total_updates' in ema) == (1.25, False)
        assert cfg.optim_wrapper.clip_begin == 41 * 300
    else:
        assert 1 - ema.momentum == 0.99925
        assert cfg.optim_wrapper.clip_grad is None
