# VideoMamba-M on HMDB51 with the fine-tuning settings that VideoMAE published for
# UCF101 (scripts/ucf101); VideoMamba and VideoMambaPro published none.
_base_ = [
    '../../_base_/models/videomamba_middle.py',
    '../../_base_/datasets/hmdb51_16x4x1.py',
    '../../_base_/schedules/videomamba_100e.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(num_frames=16, drop_path_rate=0.2), cls_head=dict(dropout_ratio=0.5)
)
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 51
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)
