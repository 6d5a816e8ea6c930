# VideoMamba-S on Kinetics-400, 64 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_small.py',
    '../../_base_/datasets/kinetics400_u64.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=64, drop_path_rate=0.35, with_cp=True))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=8)

train_cfg = dict(max_epochs=50)
