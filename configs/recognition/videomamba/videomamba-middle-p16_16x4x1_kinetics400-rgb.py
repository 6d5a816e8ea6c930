# VideoMamba-M on stretches of 16 frames, every fourth: VideoMAE's sampling with
# VideoMamba's recipe for 16 frames, including its lowest learning rate, as in
# videomamba-middle-p16_in1k-pre_*-u16-*. Nobody published this.
_base_ = [
    '../../_base_/models/videomamba_middle.py',
    '../../_base_/datasets/kinetics400_16x4x1.py',
    '../../_base_/schedules/videomamba_lr1e-4.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=16, drop_path_rate=0.8))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=50)
