# VideoMamba-S on Kinetics-400, 64 frames of 384 x 384, as published.
_base_ = [
    '../../_base_/models/videomamba_small.py',
    '../../_base_/datasets/kinetics400_u64_res384.py',
    '../../_base_/schedules/videomamba_highres_6e.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(num_frames=64, img_size=384, drop_path_rate=0.35, with_cp=True)
)
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_k400_f64_res224.pth'
)

train_dataloader = dict(batch_size=2)
val_dataloader = dict(batch_size=2)
