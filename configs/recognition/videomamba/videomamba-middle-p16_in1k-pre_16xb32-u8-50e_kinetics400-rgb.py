# VideoMamba-M on Kinetics-400, 8 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_middle.py',
    '../../_base_/datasets/kinetics400_u8.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=8, drop_path_rate=0.8))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)

train_cfg = dict(max_epochs=50)
