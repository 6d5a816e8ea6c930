# VideoMamba-Ti on COIN, 64 frames of 224 x 224, as published, except that the
# temporal embedding of 32 frames is interpolated; the script does not load it.
_base_ = [
    '../../_base_/models/videomamba_tiny.py',
    '../../_base_/datasets/coin_u64.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(backbone=dict(num_frames=64, drop_path_rate=0.1, with_cp=True))
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 180
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_k400_f32_res224.pth'
)

*__, __views = _base_.train_pipeline
(__augment,) = (t for t in __views.transforms if t.type == 'ClipRandAugment')
__augment.policy = 'rand-m5-n2-mstd0.25-inc1'
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=40)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
