# VideoMamba-Ti on ImageNet-1K, 448 x 448, as published, with the AutoAugment of its
# script; its paper says RandAugment (7, 0.25).
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/imagenet_1f_autoaugment_res448.py',
    '../../_base_/schedules/videomamba_in1k_30e.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=1, img_size=448, drop_path_rate=0))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 1000
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=256)

__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = 0.05
__cosine.eta_min_ratio = 0.25
