# ImageNet-1K with AutoAugment instead of RandAugment, for VideoMamba-Ti.
_base_ = 'imagenet_1f.py'

(__augment,) = (t for t in _base_.train_pipeline if t.type == 'ClipRandAugment')
__augment.update(type='ClipAutoAugment', policy='v0')
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
