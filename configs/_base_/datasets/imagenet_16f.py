# ImageNet-1K for probes of video backbones: each image repeated to a 16-frame clip.
_base_ = 'imagenet_1f.py'

for __transform in [*_base_.train_pipeline, *_base_.test_pipeline]:
    if __transform.type == 'SampleFrames':
        __transform.clip_len = 16
    if __transform.type == 'ClipRandAugment':
        __transform.update(type='ClipAutoAugment', policy='original')
(__resize,) = (t for t in _base_.test_pipeline if t.type == 'Resize')
del __resize.interpolation  # bilinear, as V-JEPA
val_pipeline = _base_.test_pipeline

train_dataloader = dict(batch_size=128, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
# the best probe on these images; in tests also that of the validation (AccMetric)
val_evaluator = dict(_delete_=True, type='ProbeGridMetric')
test_evaluator = [
    dict(type='AccMetric'),
    dict(type='ProbeGridMetric', prefix='probes'),
]
