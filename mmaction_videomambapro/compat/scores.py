"""Patches for heads, metrics and inferencers of MMAction2."""

from ..files import replacing
from . import patch
from .helpers import replace


@patch(
    'mmaction.models.heads.base',
    symptom='TypeError: Got unsupported ScalarType BFloat16 in training and testing',
    until='BaseHead casts its logits before numpy sees them',
)
def _low_precision_logits(base):
    for name in ('loss_by_feat', 'predict_by_feat'):

        @replace(base.BaseHead, name)
        def by_feat(original, self, cls_scores, *args, **kwargs):
            return original(self, _at_least_float32(cls_scores), *args, **kwargs)


@patch(
    'mmaction.evaluation.metrics.acc_metric',
    symptom='TypeError: Got unsupported ScalarType BFloat16 in AccMetric',
    until='AccMetric casts scores before numpy sees them',
)
def _low_precision_scores(acc_metric):
    @replace(acc_metric.AccMetric, 'process')
    def process(original, self, data_batch, data_samples):
        data_samples = [
            {**sample, 'pred_score': _at_least_float32(sample['pred_score'])}
            for sample in data_samples
        ]
        return original(self, data_batch, data_samples)


def _at_least_float32(scores):
    import torch

    low = isinstance(scores, torch.Tensor) and scores.dtype in (
        torch.bfloat16,
        torch.float16,
    )
    return scores.float() if low else scores


@patch(
    'mmengine.evaluator.metric',
    symptom='a full disk leaves half a result.pkl in place of the last one',
    until='DumpResults writes another file first',
)
def _half_a_dump(metric):
    import pickle

    def dump(results, path):
        with replacing(path, 'wb') as file:
            pickle.dump(results, file)

    metric.dump = dump


@patch(
    'mmaction.apis.inferencers.actionrecog_inferencer',
    symptom='an inferencer decodes with decord where the config says VideoInit',
    until='ActionRecogInferencer keeps the steps of a config that open and decode',
)
def _inferencers_choose_decord(module):
    @replace(module.ActionRecogInferencer, '_init_pipeline')
    def _init_pipeline(original, self, cfg):
        from mmaction.registry import TRANSFORMS

        steps = cfg.test_dataloader.dataset.pipeline
        own = {step['type']: dict(step) for step in steps}  # the list gets changed
        pipeline = original(self, cfg)
        for i, step in enumerate(pipeline.transforms):
            name = type(step).__name__
            if name in ('DecordInit', 'DecordDecode') and name not in own:
                name = name.replace('Decord', 'Video')
                if name in own:
                    pipeline.transforms[i] = TRANSFORMS.build(own[name])
        return pipeline
