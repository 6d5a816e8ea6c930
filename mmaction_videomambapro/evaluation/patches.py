"""Patches through which evaluations survive broken samples and metrics that fail."""

import numpy as np

from ..compat import patch
from ..compat.helpers import replace
from .evaluator import evaluate, process


@patch(
    'mmengine.evaluator.evaluator',
    symptom='one metric that fails, after a whole test, loses the dump and the others',
    until='Evaluator.evaluate gives every metric its turn',
)
def _metrics_that_fail(module):
    module.Evaluator.process, module.Evaluator.evaluate = process, evaluate


@patch(
    'mmaction.evaluation.metrics.acc_metric',
    symptom='a broken sample, labelled -1, counts as one of the last class in mean1',
    until='MMAction2 leaves out samples without a label, as mmpretrain does',
)
def _samples_without_label(acc_metric):
    has_label = dict(
        mean_class_accuracy=lambda label: label >= 0,
        mmit_mean_average_precision=lambda label: label.any(),
    )
    for name, sound in has_label.items():

        @replace(acc_metric, name)
        def measure(original, scores, labels, sound=sound):
            kept = [i for i, label in enumerate(labels) if sound(label)]
            scores, labels = ([x[i] for i in kept] for x in (scores, labels))
            return original(scores, labels) if kept else np.float64(0)
