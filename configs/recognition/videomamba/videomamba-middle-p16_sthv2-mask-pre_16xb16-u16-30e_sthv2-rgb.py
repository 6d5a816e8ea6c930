# VideoMamba-M on Something-Something V2, 16 frames of 224 x 224, as published. The
# published script passes --finetune twice, the second time with an unset variable; here
# the first one counts.
_base_ = [
    '../../_base_/models/videomamba_middle.py',
    '../../_base_/datasets/sthv2_u16.py',
    '../../_base_/schedules/videomamba_lr1e-4.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=16, drop_path_rate=0.4))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 174
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_ssv2_mask_pt_f8_res224.pth'
)

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=30)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
