# ImageNet-1K for probes of video backbones: every image is a clip of 16 equal frames.
_base_ = 'imagenet_1f.py'

train_pipeline = _base_.train_pipeline
train_pipeline[0] = dict(type='SampleFrames', clip_len=16)  # repeats the image
train_pipeline[5] = dict(
    type='ClipAutoAugment',
    policy='original',
    interpolation='bicubic',
    fill=(124, 116, 104),
)
test_pipeline = _base_.test_pipeline
test_pipeline[0] = dict(type='SampleFrames', clip_len=16)
test_pipeline[2] = dict(type='Resize', scale=(-1, 256))  # bilinear, as V-JEPA
val_pipeline = test_pipeline

train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
# the best probe on these images; in tests also that of the validation (AccMetric)
val_evaluator = dict(_delete_=True, type='ProbeGridMetric')
test_evaluator = [
    dict(type='AccMetric'),
    dict(type='ProbeGridMetric', prefix='probes'),
]
