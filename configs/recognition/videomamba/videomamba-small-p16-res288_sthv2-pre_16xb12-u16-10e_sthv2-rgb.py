# VideoMamba-S on Something-Something V2, 16 frames of 288 x 288, as published.
_base_ = [
    '../../_base_/models/videomamba_small.py',
    '../../_base_/datasets/sthv2_u16_res288.py',
    '../../_base_/schedules/videomamba_highres_10e.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=16, img_size=288, drop_path_rate=0.35))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 174
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_ssv2_f16_res224.pth'
)

train_dataloader = dict(batch_size=12)
val_dataloader = dict(batch_size=12)
