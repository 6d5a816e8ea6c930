# VideoMamba-S on COIN, 64 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_small.py',
    '../../_base_/datasets/coin_u64.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=64, drop_path_rate=0.4, with_cp=True))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 180
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_k400_f64_res224.pth'
)

train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=8)

train_cfg = dict(max_epochs=35)
