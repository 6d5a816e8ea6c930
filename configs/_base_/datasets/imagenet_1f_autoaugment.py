# ImageNet-1K with AutoAugment instead of RandAugment, for VideoMamba-Ti.
_base_ = 'imagenet_1f.py'

for __transform in _base_.train_pipeline:
    if __transform.type == 'ClipRandAugment':
        __transform.update(type='ClipAutoAugment', policy='v0')
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
