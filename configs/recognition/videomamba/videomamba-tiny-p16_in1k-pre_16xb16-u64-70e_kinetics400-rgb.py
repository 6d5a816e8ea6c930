# VideoMamba-Ti on Kinetics-400, 64 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/kinetics400_u64.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=64, drop_path_rate=0.1, with_cp=True))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_in1k_res224.pth'
)

*__, __views = _base_.train_pipeline
(__augment,) = (t for t in __views.transforms if t.type == 'ClipRandAugment')
__augment.policy = 'rand-m5-n2-mstd0.25-inc1'
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=70)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
