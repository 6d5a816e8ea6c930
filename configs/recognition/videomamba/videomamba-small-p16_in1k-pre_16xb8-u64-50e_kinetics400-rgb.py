# VideoMamba-S on Kinetics-400, 64 frames of 224 x 224, as published.
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
        drop_path_rate=0.35,
        with_cp=True,
    ),
    cls_head=dict(num_classes=400, in_channels=384),
)
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

for __pipeline in (
    _base_.train_pipeline,
    _base_.val_pipeline,
    _base_.test_pipeline,
):
    __pipeline[1].clip_len = 64
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

train_cfg = dict(max_epochs=50)
