# A VideoMambaPro small enough for two CPU cores, on clips that only motion solves
# (tools/data/make_demo_clips.py). For videos of your own, override
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video,metainfo.classes}
#   model.cls_head.num_classes
# with --cfg-options.
_base_ = '../_base_/default_runtime.py'

num_classes = 8
data_root = 'data/demo_clips'

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='VideoMambaPro',
        arch=dict(embed_dims=64, depth=4),
        img_size=48,
        patch_size=8,
        tubelet_size=2,
        num_frames=8,
        ssm_cfg=dict(d_state=8),
        drop_path_rate=0.0,
        out_type='avg_featmap',
        # the official rule needs long training, see VideoMamba's docstring
        weight_init='mamba',
    ),
    cls_head=dict(
        type='TimeSformerHead',
        num_classes=num_classes,
        in_channels=64,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    ),
)

# no flips: they would turn one class into another
train_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleFrames', clip_len=8, frame_interval=2, num_clips=1),
    dict(type='VideoDecode'),
    dict(type='Resize', scale=(-1, 48)),
    dict(type='RandomCrop', size=48),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = [
    dict(type='VideoInit'),
    dict(
        type='SampleFrames', clip_len=8, frame_interval=2, num_clips=1, test_mode=True
    ),
    dict(type='VideoDecode'),
    dict(type='Resize', scale=(-1, 48)),
    dict(type='CenterCrop', crop_size=48),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='VideoInit'),
    dict(
        type='SampleFrames', clip_len=8, frame_interval=2, num_clips=4, test_mode=True
    ),
    dict(type='VideoDecode'),
    dict(type='Resize', scale=(-1, 48)),
    dict(type='ThreeCrop', crop_size=48),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='SeededSampler'),
    dataset=dict(
        type='VideoClsDataset',
        ann_file=f'{data_root}/train_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='demo_clips'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VideoClsDataset',
        ann_file=f'{data_root}/val_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='demo_clips'),
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VideoClsDataset',
        ann_file=f'{data_root}/val_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='demo_clips'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = test_evaluator = dict(type='AccMetric')

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=15, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.98), weight_decay=0.05),
    paramwise_cfg=dict(flat_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        end=1,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=1,
        eta_min_ratio=0.01,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(
    logger=dict(interval=40), checkpoint=dict(save_best=None, max_keep_ckpts=1)
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
randomness = dict(seed=0)
