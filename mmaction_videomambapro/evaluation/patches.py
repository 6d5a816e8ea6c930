"""Patches that let evaluations survive broken samples and metrics that fail."""

import numpy as np

from ..compat import patch
from ..compat.helpers import replace
from .evaluator import evaluate, process
from .results import mean_class_accuracy


@patch(
    'mmengine.evaluator.evaluator',
    symptom='one metric that fails, after a whole test, loses the dump and the others',
    until='Evaluator.evaluate gives every metric its turn',
)
def _metrics_that_fail(module):
    module.Evaluator.process, module.Evaluator.evaluate = process, evaluate


@patch(
    'mmaction.evaluation.metrics.acc_metric',
    symptom='a broken sample, labelled -1, counts as one more class in mean1',
    until='MMAction2 counts samples without a label as wrong, or leaves them out',
)
def _samples_without_label(acc_metric):
    @replace(acc_metric, 'mean_class_accuracy')
    def mean_of_classes(original, scores, labels):
        return mean_class_accuracy(scores, labels)

    @replace(acc_metric, 'mmit_mean_average_precision')
    def mean_average_precision(original, scores, labels):
        kept = [i for i, label in enumerate(labels) if label.any()]
        scores, labels = ([x[i] for i in kept] for x in (scores, labels))
        return original(scores, labels) if kept else np.float64(0)
