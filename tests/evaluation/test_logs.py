"""Logs of several runs in one work directory, whole or damaged."""

import pytest

from mmaction_videomambapro.evaluation.logs import read_scalars
from tests.evaluation.logs import line, log, log_run


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
