"""The laboratory's runner, with a budget of ten steps."""

import json
import sys

import pytest
import torch

from mmaction_videomambapro.errors import UsageError
from tests.conftest import ROOT

sys.path.append(str(ROOT / 'benchmarks' / 'lab'))
import run as lab
import training

TRIAL = lab.Trial('videomambapro', 'selective-8', 0)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(training.BUDGETS, 'selective-8', (10, 4))
    monkeypatch.setattr(training, 'WATCHED', 16)
    monkeypatch.setattr(training, 'TESTED', 32)
    monkeypatch.setattr(training, 'SCORED', 16)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def kept(tmp_path):
    """A folder of results with one entry."""
    lab.keep(TRIAL, TRIAL.run(), tmp_path)
    return tmp_path


def test_an_entry_comes_again_and_another_seed_does_not():
    first, again, other = (x.run() for x in (TRIAL, TRIAL, TRIAL._replace(seed=1)))
    for entry in first, again, other:
        assert entry.pop('made')['seconds'] > 0
    assert first == again != other
    assert [row[0] for row in first['curve']] == list(range(1, 11))
    assert set(first['positions']) == {'first', 'middle', 'last'}


def test_what_is_done_is_not_done_again_until_its_settings_change(kept, monkeypatch):
    other = TRIAL._replace(seed=1)
    assert lab.missing([TRIAL, other], kept) == [other]
    head = lab.read(TRIAL.path(kept))
    monkeypatch.setitem(training.BUDGETS, 'selective-8', (11, 4))
    assert lab.missing([TRIAL, other], kept) == [TRIAL, other]
    lab.keep(other, TRIAL.run(), kept)
    result = lab.read(TRIAL.path(kept))
    assert list(result['entries']) == ['1'], 'entries of two budgets are not mixed'
    assert result['config'] != head['config']


def test_entries_are_added_to_what_is_there(kept):
    before = lab.read(TRIAL.path(kept))
    made = TRIAL._replace(seed=10).run()
    lab.keep(TRIAL._replace(seed=10), made, kept)
    lab.keep(TRIAL._replace(seed=2), made, kept)
    result = lab.read(TRIAL.path(kept))
    assert list(result['entries']) == ['0', '2', '10']
    assert result['entries']['0'] == before['entries']['0']
    assert result['entries']['10'] == made
    assert result['clips'] == 40
    assert result['tokens'] == 40 * 8 * 4


def test_a_result_that_changed_is_found(kept, capsys):
    lab.verify([TRIAL], kept, 3)
    assert 'the same in all numbers' in capsys.readouterr().out
    path = TRIAL.path(kept)
    result = json.loads(path.read_text())
    result['entries']['0']['curve'][3][1] += 0.001
    path.write_text(json.dumps(result))
    with pytest.raises(UsageError, match='another run gives other numbers'):
        lab.verify([TRIAL], kept, 3)


@pytest.mark.parametrize('text', ['', '[]', '{"config": 1}', '{"entries": {}}'])
def test_a_broken_result_is_refused_and_left_alone(kept, text):
    path = TRIAL.path(kept)
    path.write_text(text)
    with pytest.raises(UsageError, match=rf'{path}.* (JSON|mapping|missing)'):
        lab.missing([TRIAL], kept)
    assert path.read_text() == text


def test_nothing_can_be_verified_without_results(tmp_path):
    with pytest.raises(UsageError, match='has no such entry'):
        lab.verify([TRIAL], tmp_path, 3)


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('my_net', 'backbone = dict()\nlr = 1e-3', 'letters, digits and hyphens'),
        ('net', 'backbone = dict()', 'net.py lacks lr'),
        ('net', 'lr = 1e-3', 'net.py lacks backbone'),
        ('net', "backbone = dict()\nlr = '1e-3'", 'lr is .1e-3., not a number'),
        (
            'net',
            "backbone = dict()\nlr = 1e-3\ncontrol = 'one-frame'",
            "net.py: control is 'one-frame', not one of none, one_frame, shuffled",
        ),
    ],
)
def test_a_contestant_that_cannot_be_trained(
    name, text, message, tmp_path, monkeypatch
):
    (tmp_path / 'contestants').mkdir()
    (tmp_path / 'contestants' / f'{name}.py').write_text(text)
    monkeypatch.setattr(training, 'HERE', tmp_path)
    with pytest.raises(UsageError, match=message):
        training.Contestant.read(name)


def test_a_backbone_without_one_vector_per_clip():
    arch = dict(embed_dims=16, depth=1)
    backbone = dict(type='VideoMamba', arch=arch, out_type='featmap')
    net = training.Contestant('net', backbone, 1e-3, 'none')
    with pytest.raises(UsageError, match=r'net: .* returns \(1, 16, 8, 2, 2\)'):
        training.describe(net, 'selective-8')


def test_the_plan_has_every_contestant_on_every_task_with_enough_seeds():
    entries = lab.plan(None, None, None)
    assert len(entries) == len(set(entries))
    seeds = {}
    for entry in entries:
        seeds.setdefault((entry.contestant, entry.task), []).append(entry.seed)
    for contestant in lab.CONTESTANTS:
        least = 1 if contestant in lab.CONTROLS else 3
        least = 5 if contestant in lab.CLAIMED else least
        for task in training.BUDGETS:
            assert seeds[contestant, task] == list(range(least))
    assert {x.task for x in lab.plan(['none'], None, 1)} == set(lab.TASKS_OF_TRACK)


@pytest.mark.parametrize('name', lab.CONTESTANTS)
def test_contestants_have_equal_parameters(name):
    base = training.describe(training.Contestant.read('videomamba'), 'selective-8')
    own = training.describe(training.Contestant.read(name), 'selective-8')
    ratio = own['parameters'] / base['parameters']
    # shared scans and a single one lack some
    assert 0.9 < ratio < 1.1 or name in ('pro-shared', 'unidirectional')


def test_results_of_today_belong_to_the_settings_of_today(monkeypatch):
    """Whoever changes a budget or a contestant makes its results again."""
    monkeypatch.undo()  # with the budgets of the laboratory
    for path in sorted(lab.RESULTS.glob('*/*.json')):
        entry = lab.Trial(path.parent.name, path.stem, 0)
        assert lab.read(path)['config'] == entry.head()['config'], path
