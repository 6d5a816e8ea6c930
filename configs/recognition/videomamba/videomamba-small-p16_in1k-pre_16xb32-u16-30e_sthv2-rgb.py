# VideoMamba-S on Something-Something V2, 16 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_small.py',
    '../../_base_/datasets/sthv2_u16.py',
    '../../_base_/schedules/videomamba_lr4e-4.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=16, drop_path_rate=0.35))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 174
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)

train_cfg = dict(max_epochs=30)
