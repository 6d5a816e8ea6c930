# VideoMamba-Ti on LVU (directors), 32 frames of 224 x 224, as published.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   load_from, {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video}
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/lvu_u32.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch='tiny',
        num_frames=32,
        drop_path_rate=0.15,
    ),
    cls_head=dict(num_classes=10, in_channels=192),
)
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 10
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_k400_f32_res224.pth'
)

_base_.train_pipeline[3].transforms[0].policy = 'rand-m5-n2-mstd0.25-inc1'
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

train_cfg = dict(max_epochs=70)
optim_wrapper = dict(optimizer=dict(lr=0.0004, weight_decay=0.1))
_base_.param_scheduler[0].start_factor = 0.0025
_base_.param_scheduler[1].eta_min_ratio = 0.0025
