import os
import pickle

import mmengine
import numpy as np
import pytest
import torch

from mmaction_videomambapro.evaluation.results import (
    ResultError,
    accuracies,
    load_results,
    mean_class_accuracy,
    top_k,
)
from tests.fuzz import pickles

pytestmark = pytest.mark.base


def result(score, label):
    score = torch.tensor(score)
    return dict(
        pred_score=score,
        pred_label=score.argmax(0, keepdim=True),
        gt_label=torch.tensor([label]),
        num_classes=len(score),
        img_shape=(48, 48),
    )


def test_round_trip_and_accuracy(tmp_path):
    results = [
        result([0.7, 0.2, 0.1], 0),
        result([0.7, 0.2, 0.1], 1),
        result([0.1, 0.2, 0.7], 0),
        result([0.1, 0.2, 0.7], 2),
    ]
    mmengine.dump(results, tmp_path / 'result.pkl')
    loaded = load_results(tmp_path / 'result.pkl')
    assert torch.equal(loaded[2]['pred_score'], results[2]['pred_score'])
    assert loaded[0]['img_shape'] == (48, 48)
    assert top_k(loaded, 1) == 0.5
    assert top_k(loaded, 2) == 0.75
    assert top_k(loaded, 5) == 1


def test_mean_class_accuracy_is_mmaction2s():
    from mmaction.evaluation import mean_class_accuracy as of_mmaction2

    scores, labels = torch.rand(40, 6), [i % 6 for i in range(40)]
    expected = of_mmaction2([s.numpy() for s in scores], labels)
    assert mean_class_accuracy(scores, labels) == pytest.approx(expected)
    # 3 of 4 and 0 of 1, whatever else is predicted
    scores = torch.tensor([[0.9, 0.1, 0]] * 4)
    assert mean_class_accuracy(scores, [0, 0, 0, 1]) == 0.5


def test_broken_samples_are_wrong():
    good = [result([0.9, 0.1], 0), result([0.1, 0.9], 1), result([0.1, 0.9], 1)]
    broken = [result([0.9, 0.1], -1)]
    assert accuracies(good)['Mean Class Accuracy'] == 100
    assert accuracies(good + broken) == {
        'Top 1 Accuracy': 75.0,
        'Top 5 Accuracy': 75.0,
        'Mean Class Accuracy': 75.0,
    }
    assert accuracies(broken)['Mean Class Accuracy'] == 0


def test_several_labels_are_refused():
    several = result([0.9, 0.1], 0)
    several['gt_label'] = torch.tensor([0, 1])
    with pytest.raises(ResultError, match='several labels'):
        accuracies([several])


def test_numpy_results_are_read(tmp_path):
    results = [
        dict(pred_score=np.array([0.2, 0.8], np.float32), pred_label=np.array([1]),
             gt_label=np.int64(1))
    ]  # fmt: skip
    (tmp_path / 'result.pkl').write_bytes(pickle.dumps(results))
    assert top_k(load_results(tmp_path / 'result.pkl'), 1) == 1


class Attack:
    def __init__(self, call, *args):
        self.reduced = call, args

    def __reduce__(self):
        return self.reduced


def test_hostile_results_are_refused(tmp_path):
    file, victim = tmp_path / 'result.pkl', tmp_path / 'victim'
    nested = tmp_path / 'nested.pth'
    torch.save(Attack(os.system, f'touch {victim}'), nested)
    storage = Attack(torch.storage._load_from_bytes, nested.read_bytes())
    for attack in (Attack(os.system, f'touch {victim}'), Attack(eval, '1'), storage):
        file.write_bytes(pickle.dumps([attack]))
        with pytest.raises(ResultError, match='was refused'):
            load_results(file)
    assert not victim.exists()


def test_refused_results_change_nothing(tmp_path):
    rebuild = torch._utils._rebuild_tensor_v2
    defaults, file = rebuild.__defaults__, tmp_path / 'result.pkl'
    for target in ('torch._utils._rebuild_tensor_v2', 'collections.OrderedDict'):
        state = pickles.items(b'N', pickles.mapping(('__defaults__', b')')))
        value = pickles.with_state(pickles.name(target), state)
        file.write_bytes(pickles.pickled(b']' + value + b'a'))
        with pytest.raises(ResultError, match='was refused'):
            load_results(file)
    assert rebuild.__defaults__ == defaults


def test_arrays_of_addresses_are_refused(tmp_path):
    """They used to end the process by a signal."""
    eight = b'C\x08' + bytes(range(8))
    for kind in ('O8', 'V8'):
        value = pickles.array(pickles.dtype(kind, '|'), (1,), eight)
        parts = [(key, value) for key in ('pred_score', 'pred_label', 'gt_label')]
        file = tmp_path / 'result.pkl'
        file.write_bytes(pickles.pickled(b']' + pickles.mapping(*parts) + b'a'))
        with pytest.raises(ResultError, match='not of plain numbers'):
            load_results(file)


GOOD = torch.tensor([0.25, 0.75])


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        *(('pred_score', x) for x in (
            *('text', None, [], {}, 0.5, [[0.5], [0.5, 0.5]], [None, 1], [GOOD, GOOD]),
            *(GOOD[None], torch.ones(3), GOOD > 0.5, 1j * GOOD, GOOD / 0),
            *(torch.tensor([0.5, torch.nan]), np.array([0.5, np.inf])),
        )),
        *(('pred_label', x) for x in (
            2, -1, 0.5, None, '1', [0, 1], torch.tensor([True]), [10**30], [[0]],
        )),
        *(('gt_label', x) for x in (2, -2, 0.0, None, [0, '1'], torch.ones(1), 1j)),
    ],
)  # fmt: skip
def test_values_that_are_not_predictions_are_reported(tmp_path, key, value):
    good = dict(
        pred_score=GOOD, pred_label=torch.tensor([1]), gt_label=torch.tensor([1])
    )
    file = tmp_path / 'result.pkl'
    file.write_bytes(pickle.dumps([good, {**good, key: value}], 2))
    with pytest.raises(ResultError, match=rf'result\.pkl: sample 1: {key} ') as error:
        load_results(file)
    assert '\n' not in str(error.value)


def test_numbers_of_other_types_become_tensors(tmp_path):
    scores = [0.25, 0.75]
    for value in (scores, np.array(scores, '>f2'), torch.tensor(scores).bfloat16()):
        good = dict(pred_score=value, pred_label=np.uint16(1), gt_label=[-1])
        (tmp_path / 'result.pkl').write_bytes(pickle.dumps([good], 5))
        (result,) = load_results(tmp_path / 'result.pkl')
        assert result['pred_score'].tolist() == scores
        assert result['pred_score'].dtype in (torch.float32, torch.float64)
        assert result['pred_label'].tolist() == [1]
        assert result['gt_label'].tolist() == [-1]


@pytest.mark.parametrize(
    'content',
    [b'', b'garbage', pickle.dumps([]), pickle.dumps([dict(a=1)]), pickle.dumps('x')],
)
def test_other_files_are_named(tmp_path, content):
    file = tmp_path / 'result.pkl'
    file.write_bytes(content)
    with pytest.raises(ResultError, match=r'result\.pkl'):
        load_results(file)


def test_missing_file():
    with pytest.raises(ResultError, match='does not exist'):
        load_results('nowhere.pkl')
