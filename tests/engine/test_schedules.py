"""Schedules end with the training run, however long it is."""

import pytest
import torch
from mmaction.registry import PARAM_SCHEDULERS
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmaction_videomambapro.apis.cli import load_config
from mmaction_videomambapro.engine.schedule_lengths import check_schedules, derive_ends
from mmaction_videomambapro.errors import UsageError
from tests.conftest import ROOT

DEMO = ROOT / 'configs/demo/videomambapro-nano_8x2x1-15e_demo-clips-rgb.py'

pytestmark = pytest.mark.usefixtures('scope')


def load(path, **options):
    options = {key.replace('__', '.'): value for key, value in options.items()}
    cfg = load_config(path, options)
    check_schedules(cfg)
    return cfg


def rates(cfg, iterations):
    """The rate of every iteration, as a share of the optimizer's, as MMEngine steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=1.0)
    wrapper, schedulers, epochs = OptimWrapper(optimizer), [], cfg.train_cfg.max_epochs
    for config in cfg.param_scheduler:
        if config.get('param_name', 'lr') == 'lr':
            config = {**config, 'end': config.get('end', epochs)}
            default = dict(optimizer=wrapper, epoch_length=iterations)
            schedulers.append(PARAM_SCHEDULERS.build(config, default_args=default))
    values = []
    for _ in range(epochs * iterations):
        values.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return values


@pytest.mark.parametrize('epochs', [5, 15, 29, 60])
def test_rate_falls_to_the_end_of_more_or_fewer_epochs(epochs):
    values = rates(load(DEMO, train_cfg__max_epochs=epochs), 20)
    top = values.index(max(values))
    assert top <= 20
    assert values[top:] == sorted(values[top:], reverse=True)
    assert values[-1] == pytest.approx(0.01, rel=0.15)


def test_every_config_follows():
    """No recipe sets the end of its cosine; only warm-ups have a fixed end."""
    for path in (ROOT / 'configs').rglob('*.py'):
        text = path.read_text()
        assert 'T_max' not in text, path
        if 'param_scheduler = [' in text:
            scheduler = Config.fromfile(path).param_scheduler[-1]
            assert 'end' not in scheduler or path.stem == 'vjepa2', path


@pytest.mark.parametrize('epochs', [60, 300, 900])
def test_vjepas_cosine_is_cut_at_four_fifths(tmp_path, epochs):
    """Also for a config that inherits from the recipe; the warm-up stays."""
    (tmp_path / 'child.py').write_text(
        f"_base_ = '{ROOT}/configs/_base_/schedules/vjepa.py'\n"
        f'train_cfg = dict(max_epochs={epochs})\n'
    )
    cfg = load(tmp_path / 'child.py')
    cfg.param_scheduler[1].eta_min = 0.0
    values = rates(cfg, 10)
    assert values.index(max(values)) in (10 * 40 - 1, 10 * 40)
    share = (epochs - 40) / (1.25 * epochs - 40)
    last = (1 + torch.tensor(share * torch.pi).cos()) / 2
    assert values[-1] == pytest.approx(float(last), abs=0.01)


def test_what_ends_with_the_training_is_derived(tmp_path):
    """Written out in a user's config, it follows --cfg-options too."""
    (tmp_path / 'config.py').write_text(
        "train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10)\n"
        'param_scheduler = [\n'
        "    dict(type='LinearLR', start_factor=0.1, end=2,\n"
        '        convert_to_iter_based=True),\n'
        "    dict(type='CosineAnnealingLR', begin=2, end=10, T_max=8, eta_min=0.0,\n"
        '        convert_to_iter_based=True),\n'
        ']\n'
    )
    for epochs in (5, 10, 30):
        values = rates(load(tmp_path / 'config.py', train_cfg__max_epochs=epochs), 20)
        assert values[20] < 1
        assert max(values) == pytest.approx(1)
        assert values[-1] < 0.002


@pytest.mark.parametrize(
    ('scheduler', 'message'),
    [
        (
            dict(begin=2, T_max=8),
            r'param_scheduler\.0 ends after epoch 10 of train',
        ),
        (dict(begin=2, T_max=8, end=20), r'leave T_max out .*T_max=18'),
        (dict(begin=20), r'begins after epoch 20, but there are only .*max_epochs=20'),
    ],
)
def test_what_would_rise_again_is_refused(scheduler, message):
    scheduler = dict(type='CosineAnnealingLR', **scheduler)
    cfg = Config(dict(train_cfg=dict(max_epochs=20), param_scheduler=[scheduler]))
    with pytest.raises(UsageError, match=message):
        check_schedules(cfg)


def test_schedulers_of_several_optimizers_and_of_none():
    cosine = dict(type='CosineAnnealingLR', T_max=10, by_epoch=False)
    for node in (cosine, [cosine], dict(first=cosine, second=[cosine])):
        cfg = Config(dict(train_cfg=dict(max_iters=10), param_scheduler=node))
        derive_ends(cfg)
        assert 'T_max' not in str(cfg.param_scheduler)
    for cfg in (dict(), dict(param_scheduler=None), dict(param_scheduler=[])):
        derive_ends(Config(cfg))
        check_schedules(Config(cfg))


@pytest.mark.parametrize('kind', ['LinearLR', 'ConstantLR'])
@pytest.mark.parametrize('iterations', [1, 2, 5])
def test_a_warm_up_ends_however_short_it_is(kind, iterations):
    factor = dict(start_factor=0.01) if kind == 'LinearLR' else dict(factor=0.01)
    scheduler = dict(type=kind, end=1, convert_to_iter_based=True, **factor)
    cfg = dict(train_cfg=dict(max_epochs=3), param_scheduler=[scheduler])
    values = rates(Config(cfg), iterations)
    assert values[iterations:] == pytest.approx([1.0] * 2 * iterations)
    assert iterations == 1 or values[0] == pytest.approx(0.01)
