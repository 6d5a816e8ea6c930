# VideoMamba-S on Kinetics-400, 32 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_small.py',
    '../../_base_/datasets/kinetics400_u32.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=32, drop_path_rate=0.35))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=50)
