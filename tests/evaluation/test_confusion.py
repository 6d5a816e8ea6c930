"""Which classes are confused, and what changed between two results."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from mmaction_videomambapro.evaluation.comparison import (
    OUTCOMES,
    changes_by_class,
    compare,
    mcnemar,
)
from mmaction_videomambapro.evaluation.confusion import (
    Pair,
    certain_mistakes,
    class_accuracies,
    confused_block,
    confused_pairs,
    confusion_matrix,
    labels_and_predictions,
    precisions,
)
from mmaction_videomambapro.evaluation.results import ResultError

pytestmark = pytest.mark.base


def result(label, predicted, score=0.9, classes=3, **more):
    scores = torch.full((classes,), (1 - score) / (classes - 1))
    scores[predicted] = score
    return dict(
        pred_score=scores,
        pred_label=torch.tensor([predicted]),
        gt_label=torch.tensor([label]),
        **more,
    )


@pytest.fixture
def pairs():
    """Labels, some of broken samples, and predictions; class 6 has no samples."""
    numbers = np.random.default_rng(0)
    return numbers.integers(-1, 6, 200), numbers.integers(0, 7, 200)


def test_matrix_is_that_of_a_loop(pairs):
    expected = np.zeros((7, 7), int)
    for label, predicted in zip(*pairs):
        if label >= 0:
            expected[label, predicted] += 1
    np.testing.assert_array_equal(confusion_matrix(*pairs, 7), expected)


def test_accuracies_and_precisions_are_those_of_a_loop(pairs):
    labels, predicted = pairs
    matrix = confusion_matrix(labels, predicted, 7)
    known = labels >= 0
    for i in range(7):
        of_class = predicted[labels == i]
        accuracy = np.mean(of_class == i) if len(of_class) else np.nan
        np.testing.assert_equal(class_accuracies(matrix)[i], accuracy)
        right = labels[known & (predicted == i)] == i
        np.testing.assert_equal(precisions(matrix)[i], right.mean())


def test_pairs_are_in_order_and_complete(pairs):
    matrix = confusion_matrix(*pairs, 7)
    found = confused_pairs(matrix)
    expected = {
        Pair(i, j, matrix[i, j], matrix[i, j] / matrix[i].sum(), matrix[j, i])
        for i in range(7)
        for j in range(7)
        if i != j and matrix[i, j]
    }
    assert set(found) == expected
    assert len(found) == len(expected)
    assert found == sorted(found, key=lambda p: (-p.samples, -p.share))


def test_block_has_the_strongest_pairs_side_by_side():
    matrix = np.diag([9] * 6)
    matrix[0, 4] = matrix[4, 0] = 3
    matrix[5, 2] = 4
    matrix[1, 3] = 1
    assert confused_block(matrix, 4) == [0, 4, 2, 5]
    assert confused_block(matrix, 5) == [0, 4, 2, 5]  # half a pair says nothing
    assert confused_block(matrix, 6) == [0, 4, 1, 3, 2, 5]
    assert confused_block(np.diag([9] * 6), 6) == list(range(6))
    assert confused_block(np.diag([9] * 6), 3) == []


def test_most_certain_mistakes_come_first():
    results = [
        result(0, 0, 0.99),
        result(0, 1, 0.5),
        result(2, 1, 0.75),
        result(-1, 1, 0.9),  # broken
    ]
    assert certain_mistakes(results) == [2, 1]


def test_several_labels_are_refused():
    several = dict(result(0, 0), gt_label=torch.tensor([0, 1]))
    with pytest.raises(ResultError, match='several labels'):
        labels_and_predictions([result(0, 0), several])
    with pytest.raises(ResultError, match='all samples are broken'):
        labels_and_predictions([result(-1, 0)])


def test_outcome_of_each_sample():
    pairs = [(0, 1, 2), (0, 0, 1), (0, 1, 0), (1, 1, 1), (-1, 0, 0), (2, 2, 2)]
    first = [result(label, a) for label, a, _ in pairs]
    second = [result(label, b) for label, _, b in pairs]
    second[5] = result(-1, 0)  # broken in B only
    outcomes = compare(first, second)
    assert outcomes.tolist() == [0, 1, 2, 3, -1, -1]
    assert [OUTCOMES[i] for i in outcomes[:4]] == [
        'both wrong', 'only A right', 'only B right', 'both right',
    ]  # fmt: skip
    labels = np.array([label for label, _, _ in pairs])
    lost, gained = changes_by_class(labels, outcomes, 3)
    assert (lost.tolist(), gained.tolist()) == ([1, 0, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ('other', 'reason'),
    [
        ([result(0, 0)], 'A has 2, B 1'),
        ([result(0, 0), result(2, 1)], 'sample 1 has label 1 in A and 2 in B'),
        ([result(0, 0, classes=4)] * 2, 'A has 3 classes, B 4'),
        (
            [result(0, 0), result(1, 1, file='else/c.mp4')],
            'sample 1 is b in A, c in B',
        ),
        ([result(-1, 0), result(1, 1)], None),
    ],
)
def test_results_on_other_samples_are_refused(other, reason):
    first = [result(0, 0, file='a.mp4'), result(1, 1, file='some/b.mp4')]
    if reason is None:
        assert compare(first, other).tolist() == [-1, 3]
        return
    with pytest.raises(ResultError, match=f'not of the same samples: {reason}'):
        compare(first, other)


def test_moved_and_converted_files_are_the_same_samples():
    first, second = [result(0, 0, file='a/x.mp4')], [result(0, 0, file='/b/x.AVI')]
    assert compare(first, second).tolist() == [3]
    assert compare(first, [result(0, 0, file=5)]).tolist() == [3]  # not a name


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar(0, 0) == 1
    assert mcnemar(3, 3) == 1
    assert mcnemar(0, 5) == 0.0625
    for pair in ((6, 16), (86, 150), (12, 0), (5000, 5200)):
        expected = binomtest(pair[0], sum(pair)).pvalue
        assert mcnemar(*pair) == pytest.approx(expected, rel=1e-9)
        assert mcnemar(*pair[::-1]) == mcnemar(*pair)
