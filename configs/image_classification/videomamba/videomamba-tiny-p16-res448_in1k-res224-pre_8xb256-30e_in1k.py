# VideoMamba-Ti on ImageNet-1K, 448 x 448, as published, with
# the AutoAugment of its script; its paper says RandAugment (7, 0.25).
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.img}
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/imagenet_1f.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch='tiny',
        num_frames=1,
        img_size=448,
        drop_path_rate=0,
    ),
    cls_head=dict(num_classes=1000, in_channels=192),
)
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 1000
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_in1k_res224.pth'
)

_base_.train_pipeline[3].scale = (448, 448)
_base_.test_pipeline[2].scale = (-1, 512)
_base_.test_pipeline[3].crop_size = 448
val_pipeline = _base_.test_pipeline
_base_.train_pipeline[5] = dict(
    type='ClipAutoAugment',
    policy='v0',
    interpolation='bicubic',
    fill=(124, 116, 104),
)
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=30)
optim_wrapper = dict(
    optimizer=dict(lr=5e-06, weight_decay=1e-08),
    paramwise_cfg=dict(layer_decay=1.0),
)
_base_.param_scheduler[0].start_factor = 0.05
_base_.param_scheduler[1].eta_min_ratio = 0.25
# the rate is for 512 views
auto_scale_lr = dict(base_batch_size=512)
