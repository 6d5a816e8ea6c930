# Something-Something V2, 16 frames of 288 x 288.
_base_ = 'sthv2_u16.py'

*__, __views = _base_.train_pipeline
for __transform in __views.transforms:
    if __transform.type == 'Resize':
        __transform.scale = (288, 288)
for __transform in [*_base_.val_pipeline, *_base_.test_pipeline]:
    if __transform.type == 'Resize':
        __transform.scale = (-1, 288)
    if 'crop_size' in __transform:
        __transform.crop_size = 288
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
