# ImageNet-1K with three views of each image, 448 x 448.
_base_ = 'imagenet_1f_3views.py'

*__, __views = _base_.train_pipeline
for __transform in __views.transforms:
    if __transform.type == 'Resize':
        __transform.scale = (448, 448)
for __transform in _base_.test_pipeline:
    if __transform.type == 'Resize':
        __transform.scale = (-1, 512)
    if __transform.type == 'CenterCrop':
        __transform.crop_size = 448
val_pipeline = _base_.test_pipeline
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
