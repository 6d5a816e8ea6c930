# VideoMamba-S on stretches of 16 frames, every fourth: VideoMAE's sampling with
# VideoMamba's recipe for 16 frames. Nobody published this; the lowest learning rate and
# the rest are as for videomamba-small-p16_in1k-pre_*-u16-*.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   load_from, {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video}
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/kinetics400_16x4x1.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='small', num_frames=16, drop_path_rate=0.35),
    cls_head=dict(in_channels=384),
)
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)

train_cfg = dict(max_epochs=50)
