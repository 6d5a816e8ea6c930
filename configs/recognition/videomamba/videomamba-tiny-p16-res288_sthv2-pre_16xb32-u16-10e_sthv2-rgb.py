# VideoMamba-Ti on Something-Something V2, 16 frames of 288 x 288, as published, except
# that the script has the small model, 64 frames and an unpublished checkpoint.
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/sthv2_u16_res288.py',
    '../../_base_/schedules/videomamba_highres_10e.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=16, img_size=288, drop_path_rate=0.1))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 174
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_ssv2_f16_res224.pth'
)

*__, __views = _base_.train_pipeline
(__augment,) = (t for t in __views.transforms if t.type == 'ClipRandAugment')
__augment.policy = 'rand-m5-n2-mstd0.25-inc1'
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=32)
