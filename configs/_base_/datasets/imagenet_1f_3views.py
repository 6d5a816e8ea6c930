# ImageNet-1K with three views of each image, VideoMamba's repeated augmentation. An
# epoch has as many views as there are images: batch sizes are a third of the published
# ones.
_base_ = 'imagenet_1f.py'

__sample, __decode, *__transforms = _base_.train_pipeline
train_pipeline = [
    __sample,
    __decode,
    dict(type='RepeatViews', num_views=3, transforms=__transforms),
]
train_dataloader = dict(
    sampler=dict(num_samples=427056),
    collate_fn=dict(type='repeat_pseudo_collate'),
    dataset=dict(pipeline=train_pipeline),
)
