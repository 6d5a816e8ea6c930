# VideoMamba-Ti on Kinetics-400, 64 frames of 384 x 384, as published, except that the
# published script names the small model for the tiny checkpoint.
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/kinetics400_u64_res384.py',
    '../../_base_/schedules/videomamba_highres_10e.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(num_frames=64, img_size=384, drop_path_rate=0.1, with_cp=True)
)
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_k400_f64_res224.pth'
)

*__, __views = _base_.train_pipeline
(__augment,) = (t for t in __views.transforms if t.type == 'ClipRandAugment')
__augment.policy = 'rand-m5-n2-mstd0.25-inc1'
train_dataloader = dict(batch_size=6, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=6)
