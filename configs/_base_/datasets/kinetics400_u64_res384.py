# Kinetics-400, 64 frames of 384 x 384.
_base_ = 'kinetics400_u64.py'

*__, __views = _base_.train_pipeline
for __transform in __views.transforms:
    if __transform.type == 'Resize':
        __transform.scale = (384, 384)
for __transform in [*_base_.val_pipeline, *_base_.test_pipeline]:
    if __transform.type == 'Resize':
        __transform.scale = (-1, 384)
    if 'crop_size' in __transform:
        __transform.crop_size = 384
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
