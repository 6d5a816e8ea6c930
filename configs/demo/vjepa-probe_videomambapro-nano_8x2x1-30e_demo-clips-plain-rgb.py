# An attentive probe on the frozen features of the demo's pre-training. It learns from
# 80 labelled clips: with many, random features do as well. For another checkpoint, or
# for random features to compare with:
#   --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
#   --cfg-options model.backbone.init_cfg=None
_base_ = 'videomambapro-nano_8x2x1-15e_demo-clips-rgb.py'

data_root = 'data/demo_clips_plain'

model = dict(
    backbone=dict(
        patch_size=12,
        pos_embed='sincos3d',
        with_cls_token=False,
        out_type='raw',
        frozen_stages=4,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/demo-vjepa/epoch_80.pth',
            prefix='target.module.',
        ),
    ),
    cls_head=dict(
        _delete_=True,
        type='AttentiveHead',
        num_classes=8,
        in_channels=64,
        num_heads=4,
        average_clips='prob',
    ),
    data_preprocessor=dict(mean=[63.0, 63.0, 63.0], std=[35.0, 35.0, 35.0]),
)

# the frames that the pre-training saw: compressed as videos they look different
train_pipeline, val_pipeline, test_pipeline = (
    [sample, dict(type='RawFrameDecode'), *rest]
    for _, sample, _, *rest in (
        _base_.train_pipeline,
        _base_.val_pipeline,
        _base_.test_pipeline,
    )
)
train_dataloader = dict(
    num_workers=0,
    dataset=dict(
        type='RawFrameClsDataset',
        ann_file=f'{data_root}/train_rawframes.txt',
        data_prefix=dict(_delete_=True, img=data_root),
        pipeline=train_pipeline,
        indices=80,
    ),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(
        type='RawFrameClsDataset',
        ann_file=f'{data_root}/val_rawframes.txt',
        data_prefix=dict(_delete_=True, img=data_root),
        pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=0,
    dataset=dict(
        type='RawFrameClsDataset',
        ann_file=f'{data_root}/val_rawframes.txt',
        data_prefix=dict(_delete_=True, img=data_root),
        pipeline=test_pipeline,
    ),
)
train_cfg = dict(max_epochs=30, val_interval=10)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        end=2,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=2,
        eta_min_ratio=0.01,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
