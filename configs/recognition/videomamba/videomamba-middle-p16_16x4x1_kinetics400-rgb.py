# VideoMamba-M on stretches of 16 frames, every fourth: VideoMAE's sampling with
# VideoMamba's recipe for 16 frames. Nobody published this; the lowest learning rate and
# the rest are as for videomamba-middle-p16_in1k-pre_*-u16-*.
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
    backbone=dict(arch='middle', num_frames=16, drop_path_rate=0.8),
    cls_head=dict(in_channels=576),
)
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=50)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
_base_.param_scheduler[0].start_factor = 0.01
_base_.param_scheduler[1].eta_min_ratio = 0.01
