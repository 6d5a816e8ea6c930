"""The laboratory's objectives, with a budget of a few steps."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / 'benchmarks/lab'))
import objectives as lab
import training


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    read = lab.Objective.read

    def short(name):
        objective = read(name)
        return replace(objective, steps=min(objective.steps, 2), batch=4)

    monkeypatch.setattr(lab.Objective, 'read', short)
    for task, labelled in lab.LABELLED.items():
        brief = replace(labelled, clips=16, steps=10, batch=4)
        monkeypatch.setitem(lab.LABELLED, task, brief)
    monkeypatch.setattr(lab, 'WATCHED', 16)
    monkeypatch.setattr(lab, 'TESTED', 16)
    monkeypatch.setattr(training, 'SCORED', 16)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize('task', lab.TASKS_OF_TRACK)
def test_the_same_seed_gives_the_same_numbers(task):
    first, again, other = (lab.run_objective('vjepa', task, s) for s in (7, 7, 8))
    for entry in first, again, other:
        assert {'seconds', 'pretraining_seconds'} <= entry.pop('made').keys()
    assert first == again != other
    assert len(first['curve']) == 10


@pytest.mark.parametrize('task', lab.TASKS_OF_TRACK)
def test_only_the_probe_leaves_the_encoder_as_it_was(task):
    encoder, _, _ = lab.pretrain(lab.Objective.read('vjepa'), 7)
    before = {name: x.clone() for name, x in encoder.state_dict().items()}
    model, _, _ = lab.learn(encoder, lab.LABELLED[task], 7)
    same = [torch.equal(x, before[n]) for n, x in model[0].state_dict().items()]
    assert all(same) == (task == 'probe')


def test_every_objective_changes_the_encoder_but_none():
    start = lab.pretrain(lab.Objective.read('none'), 7)[0].state_dict()
    for name in set(lab.objectives()) - {'none'}:
        encoder, progress, _ = lab.pretrain(lab.Objective.read(name), 7)
        assert len(progress) == 2
        assert any(
            not torch.equal(x, start[n]) for n, x in encoder.state_dict().items()
        )


def test_the_head_of_a_result_tells_what_is_seen(monkeypatch):
    none, vjepa = (lab.describe_objective(x, 'probe') for x in ('none', 'vjepa'))
    assert none['pretraining'] == {'steps': 0, 'clips': 0, 'tokens': 0}
    assert vjepa['pretraining'] == {'steps': 2, 'clips': 8, 'tokens': 8 * 64}
    same = 'track', 'task', 'chance', 'parameters', 'steps', 'clips', 'tokens'
    assert [none[x] for x in same] == [vjepa[x] for x in same]
    brief = replace(lab.LABELLED['probe'], lr=0.1)
    monkeypatch.setitem(lab.LABELLED, 'probe', brief)
    assert lab.describe_objective('none', 'probe')['config'] != none['config']
