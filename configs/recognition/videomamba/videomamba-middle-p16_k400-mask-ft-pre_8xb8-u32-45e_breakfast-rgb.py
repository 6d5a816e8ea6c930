# VideoMamba-M on Breakfast, 32 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_middle.py',
    '../../_base_/datasets/breakfast_u32.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=32, drop_path_rate=0.4))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 10
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_k400_mask_ft_f32_res224.pth'
)

train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=8)

train_cfg = dict(max_epochs=45)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
