"""Metrics of features for which the results are known."""

import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmengine.registry import DefaultScope

from mmaction_videomambapro.evaluation.representation_metric import (
    effective_rank,
    knn_accuracy,
)


def evaluate(features, labels=None, **config):
    with DefaultScope.overwrite_default_scope('mmaction'):
        metric = METRICS.build(dict(type='RepresentationMetric', **config))
    for i, feature in enumerate(features):
        sample = dict(feature=feature)
        if labels is not None:
            sample['gt_label'] = torch.tensor([labels[i]])
        metric.process(None, [sample])
    results = metric.evaluate(len(features))
    return {key.removeprefix('features/'): value for key, value in results.items()}


def test_separated_classes_a_collapse_and_noise():
    labels = torch.arange(40) % 4
    separated = torch.eye(4)[labels] + 0.05 * torch.randn(40, 4) + 100
    good = evaluate(separated, labels)
    assert good['knn_top1'] == 1
    collapsed = evaluate(torch.ones(40, 4), labels)
    assert collapsed['rankme'] == pytest.approx(1, abs=1e-3)
    assert collapsed['std'] == 0
    noise = evaluate(torch.randn(400, 16), torch.arange(400) % 4)
    assert 0.1 < noise['knn_top1'] < 0.4
    assert noise['rankme'] > 14
    assert noise['std'] == pytest.approx(1, abs=0.1)
    assert set(evaluate(separated)) == {'rankme', 'std'}
    labels[::5] = -1  # broken: what stands in for them is left out
    whole = evaluate(separated[labels >= 0], labels[labels >= 0])
    assert evaluate(separated, labels) == whole
    assert 'knn_top1' in whole


def test_rank_of_a_known_spectrum():
    values = np.array([8.0, 4, 2, 1, 1])
    share = values / values.sum()
    expected = np.exp(-(share * np.log(share)).sum())
    q, _ = torch.linalg.qr(torch.randn(30, 5, dtype=torch.double))
    features = q * torch.tensor(values)
    assert effective_rank(features) == pytest.approx(expected, rel=1e-4)


def test_votes_one_by_one():
    features, labels = torch.randn(30, 3), torch.arange(30) % 3
    centred = features - features.mean(0)
    right = 0
    for i in range(30):
        scores, votes = [0.0] * 3, []
        for j in range(30):
            if j != i:
                cosine = centred[i] @ centred[j] / centred[i].norm() / centred[j].norm()
                votes.append((float(cosine), int(labels[j])))
        for cosine, label in sorted(votes, reverse=True)[:5]:
            scores[label] += np.exp(cosine / 0.07)
        right += np.argmax(scores) == i % 3
    assert knn_accuracy(features, labels, 5) == right / 30
    assert knn_accuracy(features[:3], labels[:3], k=10) == 0  # all others are others
