"""Measures what features are worth, without training anything on them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.07


@METRICS.register_module()
class RepresentationMetric(BaseMetric):
    """Watches a representation as it is learned: accuracy, rank and spread.

    For the features that ``VideoJEPA`` makes of a labelled list, one vector per video:

    - knn_top1: The share of videos whose class wins a vote of their k nearest others,
      weighted by exp(cosine / 0.07) (arXiv 1805.01978).
    - rankme: The effective rank, exp of the entropy of the normalised singular values
      (arXiv 2210.02885); between 1, a collapse, and the number of channels or videos.
    - std: The standard deviation over videos, averaged over channels; 0 is a
      collapse.

    Only the first needs labels and is left out without them. If some videos have
    labels, those without do not count: they are broken, and other videos have
    replaced them.

    Args:
        k (int): Neighbours that vote. Defaults to 10.
        **kwargs: As for MMEngine's ``BaseMetric``.
    """

    default_prefix = 'features'
    counts_broken = True  # by leaving them out

    def __init__(self, k: int = 10, **kwargs) -> None:
        super().__init__(**kwargs)
        self.k = k

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the features and labels of a batch."""
        for sample in data_samples:
            label = sample.get('gt_label')
            label = -1 if label is None else int(label)
            self.results.append((sample['feature'].cpu(), label))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the measures over all videos."""
        features = torch.stack([feature for feature, _ in results])
        labels = torch.tensor([label for _, label in results])
        if (labels >= 0).any():
            features, labels = features[labels >= 0], labels[labels >= 0]
        metrics = dict(
            rankme=effective_rank(features),
            std=float(features.std(dim=0, correction=0).mean()),
        )
        if len(labels) > 1 and (labels >= 0).all():
            metrics = dict(knn_top1=knn_accuracy(features, labels, self.k), **metrics)
        return metrics


def effective_rank(features: Tensor) -> float:
    """RankMe of (n, C) features (arXiv 2210.02885, equation 1)."""
    values = torch.linalg.svdvals(features.double())
    share = values / values.sum().clamp(min=1e-300) + 1e-7
    return float((-(share * share.log()).sum()).exp())


def knn_accuracy(features: Tensor, labels: Tensor, k: int) -> float:
    """Accuracy of a vote of the k nearest others.

    Args:
        features (Tensor): (n, C).
        labels (Tensor): (n,), from 0.
        k (int): Neighbours.
    """
    # what all features share is uninformative and would make all cosines 1
    features = F.normalize(features.float() - features.float().mean(0), dim=1)
    classes = F.one_hot(labels).float()
    right = 0
    for start in range(0, len(labels), 1024):
        part = slice(start, start + 1024)
        cosine = features[part] @ features.mT
        own = torch.arange(len(labels))[part]
        cosine[torch.arange(len(own)), own] = -torch.inf  # no sample votes on itself
        nearest, index = cosine.topk(min(k, len(labels) - 1), dim=1)
        votes = (nearest / TEMPERATURE).exp()
        scores = (votes[..., None] * classes[index]).sum(1)
        right += int((scores.argmax(1) == labels[part]).sum())
    return right / len(labels)
