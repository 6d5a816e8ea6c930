"""Resumed training runs end like uninterrupted ones, wherever they stopped."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner, loops
from torch import nn

from tests.conftest import ROOT


class Noisy(BaseModel):
    """Its weights depend on the order of samples, dropout and everything else."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, inputs, mode='tensor'):
        if mode == 'predict':
            return [dict(score=float(x)) for x in self.net(inputs)]
        noise = 0.01 * float(np.random.rand())
        return dict(loss=self.net(inputs + noise).square().mean())


class Numbers(BaseDataset):
    """Sample i is i, with a number drawn at random; ``read`` lists who was read."""

    def __init__(self, n=14):
        self.n, self.read = n, []
        super().__init__(pipeline=[self.draw], serialize_data=False)

    def load_data_list(self):
        return [dict(i=i) for i in range(self.n)]

    def draw(self, info):
        self.read.append(info['i'])
        return dict(inputs=torch.tensor([info['i'] / 7, np.random.rand(), 1.0]))


class Score(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(sample['score'] for sample in data_samples)

    def compute_metrics(self, results):
        return dict(acc=float(np.mean(results)))


class Stop(Exception):
    pass


class StopHook(Hook):
    """End the run like a kill: nothing more is saved."""

    priority = 'LOWEST'

    def __init__(self, iteration=None, validation=False):
        self.iteration, self.validation = iteration, validation

    def after_train_iter(self, runner, batch_idx, **_):
        if runner.iter + 1 == self.iteration:
            raise Stop

    def before_val_epoch(self, runner):
        if self.validation and runner.iter:
            raise Stop


class Watch(Hook):
    """Records rates and positions in the epoch."""

    def __init__(self):
        self.rates, self.batches = {}, []

    def before_train_iter(self, runner, batch_idx, **_):
        self.rates[runner.iter] = runner.optim_wrapper.get_lr()['lr'][0]
        self.batches.append(batch_idx)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """``IterBasedTrainLoop`` sleeps two seconds between epochs."""
    monkeypatch.setattr(loops.time, 'sleep', lambda seconds: None)


pytestmark = pytest.mark.usefixtures('scope')


COSINE = [
    dict(type='LinearLR', start_factor=0.1, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=1, eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingParamScheduler', param_name='weight_decay', eta_min=0.5,
        convert_to_iter_based=True,
    ),
]  # fmt: skip


def run(
    work_dir, stop=None, resume=False, *, n=14, iters=None, epochs=4, seed=3, hooks=(),
    saving=(), val=False, only_build=False, **changes,
):  # fmt: skip
    """Train with seven batches per epoch; returns the runner."""
    loop = dict(by_epoch=True, max_epochs=epochs, val_interval=2)
    if iters:
        loop = dict(by_epoch=False, max_iters=iters, val_interval=5)
    validation = dict(
        val_dataloader=loader(4, dict(type='SeededSampler', shuffle=False)),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=[Score()],
    )
    saving = {'interval': 1, 'max_keep_ckpts': 2, 'by_epoch': not iters, **dict(saving)}
    config = dict(
        model=Noisy(),
        work_dir=str(work_dir),
        train_dataloader=loader(n, dict(type='SeededSampler')),
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.1)),
        param_scheduler=copy.deepcopy(COSINE) if not iters else None,
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', **saving),
            logger=dict(type='LoggerHook', interval=100),
        ),
        custom_hooks=[dict(type='EpochSeedHook'), *hooks],
        randomness=dict(seed=seed),
        default_scope='mmaction',
        experiment_name=f'{work_dir}{np.random.randint(2**62)}',
        resume=resume,
        log_level='WARNING',
        visualizer=None,
        **(validation if val else {}),
    )
    runner = Runner(**{**config, **changes})
    if stop is not None:
        runner.register_hook(stop)
    try:
        if not only_build:
            runner.train()
    except Stop:
        assert stop is not None
    return runner


def loader(n, sampler):
    return dict(
        dataset=Numbers(n),
        batch_size=2,
        num_workers=0,
        sampler=sampler,
        collate_fn=dict(type='default_collate'),
    )


def weights(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def assert_same(runner, other):
    expected, got = weights(runner), weights(other)
    assert set(expected) == set(got)
    for key, value in expected.items():
        assert torch.equal(got[key], value), (key, (got[key] - value).abs().max())


EMA = dict(type='EMAHook', momentum=0.1)
ACCUMULATED = dict(
    optim_wrapper=dict(
        type='GuardedOptimWrapper', optimizer=dict(type='AdamW', lr=0.01),
        accumulative_counts=3, clip_grad=dict(max_norm=0.1),
    )
)  # fmt: skip
AMP = dict(
    optim_wrapper=dict(
        type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic',
        optimizer=dict(type='SGD', lr=0.01, momentum=0.9), accumulative_counts=2,
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ('stop', 'options'),
    [
        (14, {}),
        (17, dict(saving=dict(by_epoch=False))),
        (14, dict(saving=dict(by_epoch=False))),  # the last one of an epoch
        (10, dict(saving=dict(by_epoch=False, interval=4))),
        (10, dict(saving=dict(by_epoch=False), hooks=[EMA])),
        (10, dict(saving=dict(by_epoch=False), **ACCUMULATED)),
        (8, ACCUMULATED),  # epochs of seven iterations end between updates
        (9, dict(saving=dict(by_epoch=False), **AMP)),
        (17, dict(iters=25)),
        (14, dict(iters=25)),
        (16, dict(iters=25, **ACCUMULATED)),
    ],
)
def test_stopped_and_resumed_is_uninterrupted(tmp_path, stop, options):
    whole = run(tmp_path / 'whole', **options)
    run(tmp_path / 'broken', StopHook(stop), **options)
    resumed = run(tmp_path / 'broken', resume=True, **options)
    assert_same(whole, resumed)
    assert resumed.iter == whole.iter


@pytest.mark.parametrize('options', [dict(saving=dict(by_epoch=False)), dict(iters=25)])
def test_a_seed_that_nobody_gave_is_resumed(tmp_path, options):
    whole = run(tmp_path / 'whole', **options)
    run(tmp_path / 'broken', StopHook(17), **options)
    resumed = run(tmp_path / 'broken', resume=True, seed=None, **options)
    assert_same(whole, resumed)


def test_infinite_samplers_continue(tmp_path):
    """Only their order; augmentations have no seeds there."""
    endless = dict(
        iters=25,
        train_dataloader=loader(14, dict(type='InfiniteSampler')),
        custom_hooks=[],
    )
    read = []
    for stop, resume in ((None, False), (StopHook(17), False), (None, True)):
        endless['train_dataloader']['dataset'] = Numbers()
        name = 'broken' if stop or resume else 'whole'
        run(tmp_path / name, stop, resume, **endless)
        read.append(endless['train_dataloader']['dataset'].read)
    whole, broken, resumed = read
    assert whole[:34] == broken
    assert whole[34:] == resumed


def test_samples_of_before_are_not_read_again(tmp_path):
    steps = Watch()
    options = dict(saving=dict(by_epoch=False))
    run(tmp_path, StopHook(17), **options)
    resumed = run(tmp_path, resume=True, hooks=[steps], **options)
    assert len(resumed.train_dataloader.dataset.read) == 2 * (28 - 17)
    assert steps.batches == [3, 4, 5, 6, *range(7)]


def test_a_validation_that_was_cut_off_is_made_up_for(tmp_path):
    options = dict(val=True, saving=dict(save_best='acc', max_keep_ckpts=1))
    whole = run(tmp_path / 'whole', **options)
    run(tmp_path / 'broken', StopHook(validation=True), **options)
    resumed = run(tmp_path / 'broken', resume=True, **options)
    assert_same(whole, resumed)
    best = [path.name for path in (tmp_path / 'whole').glob('best_*')]
    assert len(best) == 1
    assert best == [path.name for path in (tmp_path / 'broken').glob('best_*')]
    assert whole.message_hub.get_info('best_score') == resumed.message_hub.get_info(
        'best_score'
    )


@pytest.mark.parametrize(
    ('first', 'then'),
    [
        (dict(epochs=2), {}),
        (dict(epochs=6), {}),
        (dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1))),
         dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.02)))),
        (dict(n=24), {}),
        (dict(n=7, saving=dict(by_epoch=False)), dict(saving=dict(by_epoch=False))),
        (dict(saving=dict(save_param_scheduler=False)), {}),
        (dict(param_scheduler=[dict(type='StepLR', step_size=1)]),
         dict(param_scheduler=[dict(type='PolyLR', power=2)])),
        (dict(epochs=2), dict(param_scheduler=[dict(type='OneCycleLR', eta_max=0.1)])),
    ],
)  # fmt: skip
def test_schedules_follow_the_config(tmp_path, first, then):
    """From where it was stopped on, the rates are those of an uninterrupted run."""
    expected, got = Watch(), Watch()
    run(tmp_path / 'whole', hooks=[expected], **then)
    epoch_length = -(-first.get('n', 14) // 2)
    run(tmp_path / 'broken', StopHook(epoch_length + 2), **first)
    resumed = run(tmp_path / 'broken', resume=True, hooks=[got], **then)
    log = next((tmp_path / 'broken').glob('*/*.log')).parent.parent
    log = ''.join(path.read_text() for path in log.glob('*/*.log'))
    assert 'The schedule differs from that of the checkpoint' in log
    assert resumed.iter == 28
    assert got.rates == {i: r for i, r in expected.rates.items() if i in got.rates}
    assert 27 in got.rates


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(param_scheduler=[dict(type='OneCycleLR', eta_max=0.1, total_steps=4)]),
        dict(param_scheduler=[dict(type='ReduceOnPlateauLR', monitor='acc')], val=True),
    ],
)
def test_an_unchanged_schedule_is_left_alone(tmp_path, options):
    whole = run(tmp_path / 'whole', **options)
    run(tmp_path / 'broken', StopHook(10), **options)
    assert_same(whole, run(tmp_path / 'broken', resume=True, **options))
    log = ''.join(path.read_text() for path in tmp_path.glob('broken/*/*.log'))
    assert 'schedule' not in log


def test_killed_at_random_moments(tmp_path):
    """Inside the writing of a checkpoint, and inside an epoch.

    ``python -m tests.engine.kill_and_resume`` kills more often.
    """
    process = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'tests.engine.kill_and_resume',
         '--kills', '2', '--seed', '235'],
        cwd=ROOT, env={**os.environ, 'TMPDIR': str(tmp_path)}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert process.stdout.count('killed') == 2
    assert 'the same weights' in process.stdout
