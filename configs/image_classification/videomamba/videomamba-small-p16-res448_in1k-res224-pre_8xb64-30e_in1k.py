# VideoMamba-S on ImageNet-1K, 448 x 448, as published.
_base_ = [
    '../../_base_/models/videomamba_small.py',
    '../../_base_/datasets/imagenet_1f_3views_res448.py',
    '../../_base_/schedules/videomamba_in1k_30e.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=1, img_size=448, drop_path_rate=0.15))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 1000
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=22)  # 66 views
auto_scale_lr = dict(base_batch_size=171)  # 513 views
