"""Logs of several runs in one work directory, as they are drawn."""

import json

from mmaction_videomambapro.visualization.curves import draw_curves, read_scalars


def log(work_dir, name, steps, loss, val=()):
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
    log(tmp_path, '1', range(1, 26), 0.1, val=[1, 2])
    log(tmp_path, '2', range(21, 31), 0.2, val=[3])  # resumed after epoch 2
    train, val = read_scalars(tmp_path)
    assert [train[s]['loss'] for s in sorted(train)] == [0.1] * 20 + [0.2] * 10
    assert {k: v['acc/top1'] for k, v in val.items()} == {1: 0.1, 2: 0.1, 3: 0.2}
    log(tmp_path, '3', range(1, 12), 0.3, val=[1])
    train, val = read_scalars(tmp_path)
    assert {v['loss'] for v in train.values()} == {0.3}
    assert len(train) == 11
    assert list(val) == [1]


def test_the_rate_is_the_base_rate(tmp_path, monkeypatch):
    log(tmp_path, '1', range(1, 5), 0.1)
    drawn = []
    monkeypatch.setattr(
        'mmaction_videomambapro.visualization.curves.save',
        lambda figure, out: drawn.append(figure),
    )
    draw_curves(tmp_path, 'unused.png')
    lines = {x.get_label(): x for axes in drawn[0].axes for x in axes.lines}
    assert set(lines['learning rate'].get_ydata()) == {1e-3}
