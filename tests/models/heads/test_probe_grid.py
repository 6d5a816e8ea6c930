"""A grid of probes, against probes that are trained one by one."""

import math

import pytest
import torch
from mmaction.registry import METRICS, MODELS, PARAM_SCHEDULERS
from mmaction.structures import ActionDataSample
from mmengine.optim import build_optim_wrapper
from torch.nn import functional as F

from mmaction_videomambapro.engine.optimizers.probe_grid import ProbeGridScheduler

GRID = [(1e-2, 0.5), (1e-2, 0.0), (1e-4, 0.5), (1e-4, 0.0)]
LABELS = 3, 1, 0, 4

pytestmark = pytest.mark.usefixtures('scope')


def recognizer(head, **changes):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(type='torch.nn.Identity'),
            cls_head=dict(
                num_classes=6, in_channels=12, num_heads=3, num_clips=2, **head
            ),
            **changes,
        )
    )
    torch.manual_seed(1)
    model.init_weights()
    return model


def grid(lrs=(1e-2, 1e-4), weight_decays=(0.5, 0.0), **changes):
    head = dict(type='AttentiveProbeGrid', lrs=lrs, weight_decays=weight_decays)
    return recognizer(dict(head, average_clips='prob'), **changes)


def samples():
    return [ActionDataSample().set_gt_label(label) for label in LABELS]


def wrapper(model, **changes):
    constructor = 'ProbeGridOptimWrapperConstructor'
    config = dict(optimizer=dict(type='AdamW'), constructor=constructor)
    return build_optim_wrapper(model, {**config, **changes})


def test_equals_probes_that_are_trained_apart():
    """Same seed and batches; a grid's probe gets what a head gets by itself."""
    model = grid()
    optimizer = wrapper(model)
    groups = optimizer.optimizer.param_groups
    assert [(g['lr'], g['weight_decay']) for g in groups] == GRID
    alone = []
    for lr, decay in GRID:
        one = recognizer(dict(type='AttentiveHead'))
        config = dict(type='AdamW', lr=lr, weight_decay=decay)
        alone.append((one, build_optim_wrapper(one, dict(optimizer=config))))
    for _ in range(3):
        tokens = torch.randn(4, 2, 7, 12)
        total = model(tokens, samples(), mode='loss')['loss_cls']
        losses = [one(tokens, samples(), mode='loss')['loss_cls'] for one, _ in alone]
        torch.testing.assert_close(total, sum(losses))
        optimizer.update_params(total)
        for (_, own), loss in zip(alone, losses):
            own.update_params(loss)
    for probe, (one, _) in zip(model.cls_head.probes, alone):
        for a, b in zip(probe.parameters(), one.cls_head.parameters()):
            torch.testing.assert_close(a, b)
    first, *others = model.cls_head.probes
    assert not any(torch.equal(first.q.weight, p.q.weight) for p in others)


def test_further_pairs_and_their_names():
    """V-JEPA 2's grid for images has one pair twice, with another schedule."""
    model = recognizer(
        dict(
            type='AttentiveProbeGrid', lrs=[1e-2, 1e-4], weight_decays=[0.5, 0.0],
            pairs=[(1e-2, 0.5), (3e-3, 0.2)],
        )
    )  # fmt: skip
    assert model.cls_head.grid == [*GRID, (1e-2, 0.5), (3e-3, 0.2)]
    assert model.cls_head.names == [
        'lr0.01_wd0.5', 'lr0.01_wd0', 'lr0.0001_wd0.5', 'lr0.0001_wd0',
        'lr0.01_wd0.5_2', 'lr0.003_wd0.2',
    ]  # fmt: skip
    alone = recognizer(dict(type='AttentiveProbeGrid', pairs=[(1e-3, 0.0)]))
    assert alone.cls_head.grid == [(1e-3, 0.0)]


def published(base, start, final, warmup, step, total):
    """V-JEPA 2's value at a step, counted from 1."""
    if step < warmup:
        return start + (base - start) * step / warmup
    share = (step - warmup) / max(1, total - warmup)
    return final + (base - final) * 0.5 * (1 + math.cos(math.pi * share))


def test_each_probe_has_its_schedule():
    """Epochs of 7 iterations, 6 of them; one probe without a warm-up."""
    optimizer = wrapper(grid())
    schedules = dict(
        lr=dict(starts=[1, 0.2, 0.4, 0], warmups=[0, 2, 1.5, 6], finals=[0, 0.1, 0, 0]),
        weight_decay=dict(finals=[0, 0, 1, 0]),
    )
    schedulers = [
        PARAM_SCHEDULERS.build(
            dict(type='ProbeGridScheduler', param_name=name, end=6, by_epoch=True,
                 convert_to_iter_based=True, **schedule),
            default_args=dict(optimizer=optimizer, epoch_length=7),
        )
        for name, schedule in schedules.items()
    ]  # fmt: skip
    for step in range(1, 43):
        for i, group in enumerate(optimizer.optimizer.param_groups):
            lr, decay = GRID[i]
            how = schedules['lr']
            warmup = int(7 * how['warmups'][i])
            start, final = (lr * how[k][i] for k in ('starts', 'finals'))
            expected = published(lr, start, final, warmup, step, 42)
            assert group['lr'] == pytest.approx(expected, abs=1e-15)
            final = decay * schedules['weight_decay']['finals'][i]
            expected = published(decay, decay, final, 0, step, 42)
            assert group['weight_decay'] == pytest.approx(expected, abs=1e-15)
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_a_probe_that_diverges_leaves_the_others_alone():
    model = grid()
    with torch.no_grad():
        model.cls_head.probes[2].fc_cls.weight.fill_(float('inf'))
    tokens = torch.randn(4, 2, 7, 12)
    model(tokens, samples(), mode='loss')['loss_cls'].backward()
    for i, probe in enumerate(model.cls_head.probes):
        finite = all(p.grad.isfinite().all() for p in probe.parameters())
        assert finite == (i != 2)


def test_best_of_validation_predicts():
    """Every probe's accuracy by hand; two crops; the choice is in the checkpoint."""
    model = grid().eval()
    with torch.no_grad():
        for i, probe in enumerate(model.cls_head.probes):
            probe.fc_cls.weight.mul_(0)
            probe.fc_cls.bias.copy_(torch.arange(6) * 0.1)
            probe.fc_cls.bias[(0, 2, 4, 5)[i]] = 9  # what it guesses
    tokens = torch.randn(4, 4, 7, 12)  # 2 crops of 2 clips
    metric = METRICS.build(dict(type='ProbeGridMetric'))

    def predict(model):
        with torch.no_grad():
            return model(tokens, samples(), mode='predict')

    metric.process(None, [sample.to_dict() for sample in predict(model)])
    metrics = metric.evaluate(4)
    expected = dict(zip(model.cls_head.names, (0.25, 0.0, 0.25, 0.0)))
    assert {k: metrics[f'acc/top1_{k}'] for k in expected} == expected
    assert metrics['acc/top1'] == 0.25
    assert metrics['acc/best_probe'] == 0  # the first of the best
    assert metrics['acc/top5'] == 0.75  # of 0 5 4 3 2, not 1

    model.cls_head.best.fill_(2)
    copy = grid().eval()
    copy.load_state_dict(model.state_dict())
    for result in predict(copy):
        assert int(result.pred_label) == 4
        scores = F.softmax(model.cls_head.probes[2].fc_cls.bias, dim=0)
        torch.testing.assert_close(result.pred_score, scores)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: grid(lrs=()), 'at least one value'),
        (lambda: grid(lrs=(0.1, 0.1)), 'without duplicates'),
        (
            lambda: ProbeGridScheduler(wrapper(grid()), starts=[1], end=3),
            'starts has 1 numbers for 4 probes',
        ),
        (lambda: ProbeGridScheduler(wrapper(grid())), 'needs an end'),
        (lambda: wrapper(grid(), clip_grad=dict(max_norm=1)), 'takes no clip_grad'),
        (lambda: wrapper(recognizer(dict(type='AttentiveHead'))), 'AttentiveProbeGrid'),
        (
            lambda: wrapper(grid(neck=dict(type='torch.nn.Linear', in_features=1,
                                           out_features=1))),
            'frozen altogether',
        ),
    ],
)  # fmt: skip
def test_wrong_arguments_are_reported(make, message):
    with pytest.raises(ValueError, match=message):
        make()
