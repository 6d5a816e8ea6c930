# VideoMamba-Ti on Breakfast, 32 frames of 224 x 224, as published.
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/breakfast_u32.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=32, drop_path_rate=0.1))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 10
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_k400_f32_res224.pth'
)

*__, __views = _base_.train_pipeline
(__augment,) = (t for t in __views.transforms if t.type == 'ClipRandAugment')
__augment.policy = 'rand-m5-n2-mstd0.25-inc1'
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=32)

train_cfg = dict(max_epochs=70)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
