# VideoMamba-Ti on ImageNet-1K, 224 x 224, as published, with the AutoAugment of its
# script; its paper says RandAugment (7, 0.25).
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/imagenet_1f_autoaugment.py',
    '../../_base_/schedules/videomamba_in1k_300e.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=1, drop_path_rate=0))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 1000

train_dataloader = dict(batch_size=512)

optim_wrapper = dict(optimizer=dict(weight_decay=0.1), clip_grad=dict(max_norm=5.0))
