"""Logs are read as far as they are whole."""

import json

import pytest

from mmaction_videomambapro.visualization.curves import draw_curves, read_scalars
from mmaction_videomambapro.visualization.pretraining import (
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
    """Half a line of a full disk does not end what is trained there later."""
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
