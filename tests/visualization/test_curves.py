"""Logs of several runs in one work directory, whole or damaged."""

import json

import pytest

from mmaction_videomambapro.evaluation.logs import read_scalars
from mmaction_videomambapro.visualization.curves import (
    draw_curves,
    draw_pretraining,
    write_tables,
)


def log(folder, run, content):
    path = folder / run / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


def line(step, **scalars):
    return json.dumps(dict(step=step, **scalars)).encode()


@pytest.mark.parametrize(
    'damaged',
    [
        b'{"loss": 0.5, "st', b'{"loss": 0.5, "st{"step": 2, "loss": 1}', b'\0' * 40,
        b'\xff\xfe{', b'3', b'[]', b'null', b'{"loss": 1}', b'{"step": "x"}', b'',
        b'{"step": null, "loss": 1}', b'[' * 9999, b'{"step": ' + b'9' * 5000 + b'}',
    ],
)  # fmt: skip
def test_damaged_lines_are_passed_over(tmp_path, damaged):
    """A partial line from a full disk does not affect later runs in the folder."""
    first = line(1, loss=2.0, lr=0.1, epoch=1)
    log(tmp_path, '1', b'\n'.join([first, damaged]))
    second = line(2, loss=1.0, lr=0.1, epoch=1)
    log(tmp_path, '2', b'\n'.join([damaged, second, b'{"step": 1, "acc/top1": 0.5}']))
    train, val = read_scalars(tmp_path)
    assert {step: train[step]['loss'] for step in train} == {1: 2.0, 2: 1.0}
    assert val[1]['acc/top1'] == 0.5


def test_pictures_and_tables_of_a_damaged_log(tmp_path):
    log(tmp_path, '1', line(1, loss=2.0, lr=0.1, epoch=1) + b'\n{"loss": 0.5, "st')
    draw_pretraining(tmp_path, tmp_path / 'pretraining.png')
    draw_curves(tmp_path, tmp_path / 'curves.png')
    write_tables(tmp_path, tmp_path)
    assert len((tmp_path / 'train.csv').read_text().splitlines()) == 2
    log(tmp_path, '2', b'{"lo')
    read_scalars(tmp_path)


def log_run(work_dir, name, steps, loss, val=()):
    """A run that logged every iteration, of 10 iterations per epoch."""
    folder = work_dir / name / 'vis_data'
    folder.mkdir(parents=True)
    rows = [
        dict(step=s, epoch=(s - 1) // 10 + 1, loss=loss, lr=1e-9, base_lr=1e-3)
        for s in steps
    ]
    rows += [{'step': epoch, 'acc/top1': loss} for epoch in val]
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))


def test_a_resumed_run_continues_and_a_new_one_replaces(tmp_path):
    log_run(tmp_path, '1', range(1, 26), 0.1, val=[1, 2])
    log_run(tmp_path, '2', range(21, 31), 0.2, val=[3])  # resumed after epoch 2
    train, val = read_scalars(tmp_path)
    assert [train[s]['loss'] for s in sorted(train)] == [0.1] * 20 + [0.2] * 10
    assert {k: v['acc/top1'] for k, v in val.items()} == {1: 0.1, 2: 0.1, 3: 0.2}
    log_run(tmp_path, '3', range(1, 12), 0.3, val=[1])
    train, val = read_scalars(tmp_path)
    assert {v['loss'] for v in train.values()} == {0.3}
    assert len(train) == 11
    assert list(val) == [1]


def test_the_rate_is_the_base_rate(tmp_path, monkeypatch):
    log_run(tmp_path, '1', range(1, 5), 0.1)
    drawn = []
    monkeypatch.setattr(
        'mmaction_videomambapro.visualization.curves.save',
        lambda figure, out: drawn.append(figure),
    )
    draw_curves(tmp_path, 'unused.png')
    lines = {x.get_label(): x for axes in drawn[0].axes for x in axes.lines}
    assert set(lines['learning rate'].get_ydata()) == {1e-3}
