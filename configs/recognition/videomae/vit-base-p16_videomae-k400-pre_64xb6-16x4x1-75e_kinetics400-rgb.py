# VideoMAE's ViT-B on Kinetics-400, pre-trained on it: fine-tuned as published
# (64 GPUs x 6 videos in two views each), tested on 5 clips x 3 crops. Test the
# checkpoint of MMAction2's model zoo (81.3 there) or one of VideoMAE's:
#   tools/test.py CONFIG CHECKPOINT --dump result.pkl
_base_ = [
    '../../_base_/datasets/kinetics400_16x4x1.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='VisionTransformer',
        img_size=224,
        patch_size=16,
        embed_dims=768,
        depth=12,
        num_heads=12,
        mlp_ratio=4,
        qkv_bias=True,
        num_frames=16,
        drop_path_rate=0.1,
        norm_cfg=dict(type='LN', eps=1e-6),
    ),
    cls_head=dict(
        type='TimeSformerHead',
        num_classes=400,
        in_channels=768,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
        blending=dict(
            type='ClipRandomErasing',
            blending=dict(
                type='RandomBatchAugment',
                augments=[
                    dict(type='MixupBlending', num_classes=400, alpha=0.8),
                    dict(type='CutmixBlending', num_classes=400, alpha=1.0),
                ],
                probs=[0.5, 0.5],
            ),
        ),
    ),
)

(__sample,) = (t for t in _base_.test_pipeline if 'num_clips' in t)
__sample.num_clips = 5
train_dataloader = dict(batch_size=6)
val_dataloader = dict(batch_size=6)
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

train_cfg = dict(max_epochs=75)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    constructor='LearningRateDecayOptimizerConstructor',
    paramwise_cfg=dict(_delete_=True, num_layers=12, decay_rate=0.75),
)
__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = __cosine.eta_min_ratio = 0.002
