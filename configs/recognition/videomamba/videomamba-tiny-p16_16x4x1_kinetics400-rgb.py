# VideoMamba-Ti on stretches of 16 frames, every fourth: VideoMAE's sampling with
# VideoMamba's recipe for 16 frames, including its lowest learning rate, as in
# videomamba-tiny-p16_in1k-pre_*-u16-*. Nobody published this.
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/kinetics400_16x4x1.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=16, drop_path_rate=0.1))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_in1k_res224.pth'
)

*__, __views = _base_.train_pipeline
(__augment,) = (t for t in __views.transforms if t.type == 'ClipRandAugment')
__augment.policy = 'rand-m5-n2-mstd0.25-inc1'
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=64)

train_cfg = dict(max_epochs=70)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
