# VideoMamba-M on Kinetics-400, 32 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_middle.py',
    '../../_base_/datasets/kinetics400_u32.py',
    '../../_base_/schedules/videomamba_lr1e-4.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=32, drop_path_rate=0.8))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=8)

train_cfg = dict(max_epochs=50)
