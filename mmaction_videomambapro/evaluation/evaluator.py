"""Evaluation that survives broken samples and metrics that fail.

MMEngine's ``Evaluator`` stops at the first metric that fails, after the whole test,
and loses what the others, such as a dump, would have returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement

from ..datasets.sample_files import file_of
from ..errors import RunStopped

FAILED = 'failed'
# of MMEngine, MMAction2 and mmpretrain; ours declare it themselves
COUNT_BROKEN = 'DumpResults', 'AccMetric', 'Accuracy'


class EvaluationError(RunStopped):
    """An evaluation without a full result, reported in one sentence."""


class ScoresError(EvaluationError):
    """Scores that are not finite; other processes of the run do not know of them."""


class LeftOut:
    """Replaces the result of a broken sample, so that all processes keep in step."""


class Failure:
    """Replaces the results of a metric that failed on one process.

    Args:
        reason (str): What happened.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason


def is_broken(sample: dict) -> bool:
    """Whether another sample replaces it: its label is -1, or all of several are 0."""
    label = sample.get('gt_label')
    if not isinstance(label, torch.Tensor) or not label.numel():
        return False
    return bool((label < 0).any() if label.numel() == 1 else (label == 0).all())


def counts_broken(metric: BaseMetric) -> bool:
    """Whether a metric handles broken samples itself."""
    return getattr(metric, 'counts_broken', type(metric).__name__ in COUNT_BROKEN)


def process(
    evaluator: Evaluator, data_samples: Sequence, data_batch: Any = None
) -> None:
    """As MMEngine's ``Evaluator.process``, but most metrics get no broken samples.

    Raises:
        ScoresError: If scores are not finite, with the first such sample.
    """
    samples = [
        sample.to_dict() if isinstance(sample, BaseDataElement) else sample
        for sample in data_samples
    ]
    _refuse_scores(samples)
    for metric in evaluator.metrics:
        if metric.results and isinstance(metric.results[0], Failure):
            continue
        counts = counts_broken(metric)
        runs = groupby(samples, lambda x: not counts and is_broken(x))  # noqa: B023
        try:
            for broken, run in runs:
                run = list(run)
                if broken:
                    metric.results += [LeftOut() for _ in run]
                else:
                    metric.process(data_batch, run)
        except Exception as error:  # metrics raise whatever they like
            metric.results[:] = [Failure(_one_line(error))]


def evaluate(evaluator: Evaluator, size: int) -> dict:
    """As MMEngine's ``Evaluator.evaluate``, but every metric gets its turn.

    Raises:
        EvaluationError: If some failed, raised after all have had their turn.
        ValueError: If two results have the same name.
    """
    metrics, failed = {}, {}
    for metric in evaluator.metrics:
        for name, value in _evaluate(metric, size).items():
            if name.split('/')[-1] == FAILED:
                failed[type(metric).__name__] = value
            elif name in metrics:
                raise ValueError(
                    f'There are multiple evaluation results with the same metric name '
                    f'{name}. Please make sure all metrics have different prefixes.'
                )
            else:
                metrics[name] = value
    if failed:
        for name, value in metrics.items():
            print_log(f'{name}: {value}', 'current')
        reasons = '; '.join(f'{name}: {reason}' for name, reason in failed.items())
        raise EvaluationError(f'{len(failed)} of the metrics failed, {reasons}')
    return metrics


def _evaluate(metric, size):
    compute = metric.compute_metrics

    def compute_metrics(results):  # in the main process, while the others wait
        failures = [x.reason for x in results if isinstance(x, Failure)]
        if failures:
            return {FAILED: failures[0]}
        sound = [x for x in results if not isinstance(x, LeftOut)]
        if results and not sound:
            return {FAILED: 'all samples are broken, or have no label'}
        try:
            return compute(sound)
        except Exception as error:
            return {FAILED: _one_line(error)}

    metric.compute_metrics = compute_metrics
    try:
        return metric.evaluate(size)
    finally:
        del metric.compute_metrics


def _one_line(error):
    return ' '.join(f'{type(error).__name__}: {error}'.split())


def _refuse_scores(samples):
    for sample in samples:
        scores = sample.get('pred_score')
        for score in scores.values() if isinstance(scores, dict) else [scores]:
            if isinstance(score, torch.Tensor) and not score.isfinite().all():
                raise ScoresError(
                    f'the scores of {file_of(sample) or "a sample"} are not finite: '
                    'the weights are damaged, or the training diverged; take another '
                    'checkpoint, or float32 instead of fp16'
                )
