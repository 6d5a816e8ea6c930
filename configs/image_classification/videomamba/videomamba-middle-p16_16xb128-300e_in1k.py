# VideoMamba-M on ImageNet-1K, 224 x 224, as published, with
# the small model as a teacher: model.teacher.init_cfg.checkpoint.
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
    type='DistilledRecognizer3D',
    backbone=dict(
        arch='middle',
        num_frames=1,
        drop_path_rate=0.5,
    ),
    cls_head=dict(num_classes=1000, in_channels=576),
    teacher=dict(
        type='VideoMamba',
        arch='small',
        num_frames=1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
            'videomamba_s16_in1k_res224.pth',
        ),
    ),
)
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 1000

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RepeatViews', num_views=3, transforms=_base_.train_pipeline[2:]),
]
# 129 views; as many in an epoch as there are images
train_dataloader = dict(
    batch_size=43,
    sampler=dict(num_samples=427056),
    collate_fn=dict(type='repeat_pseudo_collate'),
    dataset=dict(pipeline=train_pipeline),
)

train_cfg = dict(max_epochs=300)
optim_wrapper = dict(
    optimizer=dict(lr=0.0005),
    paramwise_cfg=dict(layer_decay=1.0),
    clip_grad=dict(max_norm=5.0),
)
_base_.param_scheduler[0].start_factor = 0.00025
_base_.param_scheduler[1].eta_min_ratio = 0.0025
_base_.param_scheduler[0].end = 20
_base_.param_scheduler[1].begin = 20
# the rate is for 512 views
auto_scale_lr = dict(base_batch_size=171)
