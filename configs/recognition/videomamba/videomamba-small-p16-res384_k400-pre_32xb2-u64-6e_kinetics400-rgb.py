# VideoMamba-S on Kinetics-400, 64 frames of 384 x 384, as published.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   load_from, {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video}
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/kinetics400_u8.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch='small',
        num_frames=64,
        img_size=384,
        drop_path_rate=0.35,
        with_cp=True,
    ),
    cls_head=dict(num_classes=400, in_channels=384),
)
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_k400_f64_res224.pth'
)

for __pipeline in (
    _base_.train_pipeline,
    _base_.val_pipeline,
    _base_.test_pipeline,
):
    __pipeline[1].clip_len = 64
_base_.train_pipeline[3].transforms[2].scale = (384, 384)
for __pipeline in (_base_.val_pipeline, _base_.test_pipeline):
    __pipeline[3].scale = (-1, 384)
    __pipeline[4].crop_size = 384
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

train_cfg = dict(max_epochs=6)
optim_wrapper = dict(
    optimizer=dict(lr=5e-06, weight_decay=1e-08), accumulative_counts=2
)
_base_.param_scheduler[0].start_factor = 0.2
_base_.param_scheduler[1].eta_min_ratio = 0.2
_base_.param_scheduler[0].end = 1
_base_.param_scheduler[1].begin = 1
# a step takes 2 batches
auto_scale_lr = dict(base_batch_size=64)
