"""Accuracy of every probe of a grid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric


@METRICS.register_module()
class ProbeGridMetric(BaseMetric):
    """Compares the probes of an ``AttentiveProbeGrid``.

    - top1, top5: Accuracies of the probe with the best top-1 on these samples, the
      first if several are equal. For those of a probe chosen in an earlier validation,
      as in a test, use MMAction2's ``AccMetric``.
    - best_probe: Its index in the grid; ``ProbeChoiceHook`` reads it.
    - top1_lr<rate>_wd<decay>: Top-1 of each probe.

    Args:
        collect_device (str): As for MMEngine's ``BaseMetric``. Defaults to 'cpu'.
        prefix (str, optional): Prefix of the names. Defaults to None, 'acc'.
    """

    default_prefix = 'acc'
    counts_broken = True  # as wrong

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Compare the predictions of a batch with the labels."""
        for sample in data_samples:
            self.names = sample['probe_names']
            guesses = sample['probe_labels'].cpu()
            self.results.append(guesses == sample['gt_label'].cpu())

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the accuracies over all samples."""
        hits = torch.stack(results).double().mean(0)  # (probes, 5)
        top1 = hits[:, 0]
        best = int(top1.argmax())
        metrics = dict(top1=float(top1[best]), top5=float(hits[best].sum()))
        metrics['best_probe'] = best
        for name, value in zip(self.names, top1.tolist()):
            metrics[f'top1_{name}'] = value
        return metrics
