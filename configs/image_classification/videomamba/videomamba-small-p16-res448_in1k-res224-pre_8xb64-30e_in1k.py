# VideoMamba-S on ImageNet-1K, 448 x 448, as published.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.img}
# Its three repetitions of an image in a batch are three views of one.
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/imagenet_1f.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch='small',
        num_frames=1,
        img_size=448,
        drop_path_rate=0.15,
    ),
    cls_head=dict(num_classes=1000, in_channels=384),
)
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 1000
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

_base_.train_pipeline[3].scale = (448, 448)
_base_.test_pipeline[2].scale = (-1, 512)
_base_.test_pipeline[3].crop_size = 448
val_pipeline = _base_.test_pipeline
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RepeatViews', num_views=3, transforms=_base_.train_pipeline[2:]),
]
# 66 views; as many in an epoch as there are images
train_dataloader = dict(
    batch_size=22,
    sampler=dict(num_samples=427056),
    collate_fn=dict(type='repeat_pseudo_collate'),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=30)
optim_wrapper = dict(
    optimizer=dict(lr=5e-06, weight_decay=1e-08),
    paramwise_cfg=dict(layer_decay=1.0),
)
_base_.param_scheduler[0].start_factor = 0.2
_base_.param_scheduler[1].eta_min_ratio = 1
# the rate is for 512 views
auto_scale_lr = dict(base_batch_size=171)
