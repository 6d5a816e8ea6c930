# VideoMamba-M on ImageNet-1K, 224 x 224, as published, with the small model as a
# teacher: model.teacher.init_cfg.checkpoint.
_base_ = [
    '../../_base_/models/videomamba_middle.py',
    '../../_base_/datasets/imagenet_1f_3views.py',
    '../../_base_/schedules/videomamba_in1k_300e.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    type='DistilledRecognizer3D',
    backbone=dict(num_frames=1, drop_path_rate=0.5),
    teacher=dict(
        type='VideoMamba',
        arch='small',
        num_frames=1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
            'videomamba_s16_in1k_res224.pth',
        ),
    ),
)
__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 1000

train_dataloader = dict(batch_size=43)  # 129 views

optim_wrapper = dict(clip_grad=dict(max_norm=5.0))
__warm_up, __cosine = _base_.param_scheduler
__warm_up.end = __cosine.begin = 20
auto_scale_lr = dict(base_batch_size=171)  # 513 views
