"""Which clips are drawn."""

import torch

from mmaction_videomambapro.visualization.predictions import _choose


def results(pairs, sure=0.9):
    """Predictions (label, predicted), each a little less sure than the one before."""
    made = []
    for i, (_, predicted) in enumerate(pairs):
        score = torch.zeros(3)
        score[predicted] = sure - 0.01 * i
        made.append(dict(pred_score=score, pred_label=torch.tensor([predicted])))
    return made


def choose(pairs, samples):
    return _choose(results(pairs), [label for label, _ in pairs], samples)


def test_mistakes_come_first_and_all_labels_are_shown():
    pairs = [(0, 0), (0, 0), (1, 1), (2, 2), (2, 1), (0, 2), (-1, 0)]
    assert choose(pairs, 5) == [4, 5, 0, 2, 3]
    assert choose(pairs, 8) == [4, 5, 0, 2, 3, 1]  # the broken one is never drawn


def test_mistakes_fill_half_or_what_is_left():
    assert choose([(0, 1)] * 6 + [(1, 1)] * 6, 4) == [0, 1, 6, 7]
    assert choose([(0, 1)] * 6 + [(1, 1)], 4) == [0, 1, 2, 6]
    assert choose([(0, 1)] * 6, 4) == [0, 1, 2, 3]
