# V-JEPA small enough for two CPU cores: a VideoMambaPro learns from demo clips without
# their labels (tools/data/make_demo_clips.py data/demo_clips_plain --plain). Those of
# the validation clips only watch: features/knn_top1 in the log. Then probe it:
# vjepa-probe_videomambapro-nano_*.py
#
# The ground is plain, as a textured one stands still in each clip: easy to predict, it
# is all that a short training learns.
# Frames are read as images, in half of the time of decoding such small videos.
_base_ = '../_base_/default_runtime.py'

data_root = 'data/demo_clips_plain'
batch_size = 32

model = dict(
    type='VideoJEPA',
    backbone=dict(
        type='VideoMambaPro',
        arch=dict(embed_dims=64, depth=4),
        img_size=48,
        patch_size=12,
        tubelet_size=2,
        num_frames=8,
        ssm_cfg=dict(d_state=8),
        drop_path_rate=0.0,
        pos_embed='sincos3d',
        with_cls_token=False,
        out_type='raw',
        weight_init='mamba',
    ),
    predictor=dict(
        type='JEPAMambaPredictor', embed_dims=48, depth=2, mixer_cfg=dict(d_state=8)
    ),
    masks=[
        dict(type='MultiBlock3DMask', num_blocks=2, spatial_scale=(0.3, 0.4)),
        # the first half of the clip, to predict places in the second
        dict(
            type='MultiBlock3DMask',
            num_blocks=1,
            spatial_scale=(0.2, 0.2),
            max_temporal_keep=0.5,
        ),
    ],
    # most tokens are of the ground: the median, which p = 1 learns, ignores the rest
    loss_exponent=2.0,
    ema=dict(
        type='LinearEMA',
        momentum=0.004,
        end_momentum=0.0,
        stretch=1.25,
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        # of the demo clips: what all pixels share would drown the rest
        mean=[63.0, 63.0, 63.0],
        std=[35.0, 35.0, 35.0],
        format_shape='NCTHW',
    ),
)

train_pipeline = [
    dict(type='SampleFrames', clip_len=8, frame_interval=2, num_clips=1),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 48)),
    dict(type='RandomCrop', size=48),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = [
    dict(
        type='SampleFrames', clip_len=8, frame_interval=2, num_clips=1, test_mode=True
    ),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 48)),
    dict(type='CenterCrop', crop_size=48),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,  # a worker would only slow down the two cores
    drop_last=True,
    sampler=dict(type='SeededSampler'),
    dataset=dict(
        type='RawFrameClsDataset',
        ann_file=f'{data_root}/train_rawframes.txt',
        data_prefix=dict(img=data_root),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='RawFrameClsDataset',
        ann_file=f'{data_root}/val_rawframes.txt',
        data_prefix=dict(img=data_root),
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='RepresentationMetric')

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=80, val_interval=10)
val_cfg = dict(type='ValLoop')

optim_wrapper = dict(
    type='GuardedOptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.98), weight_decay=0.04),
    paramwise_cfg=dict(
        flat_decay_mult=0.0,
        custom_keys=dict(
            A_log=dict(decay_mult=0.0),
            A_b_log=dict(decay_mult=0.0),
            mask_tokens=dict(decay_mult=0.0),
        ),
    ),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
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
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='BrokenFilesHook'),
    dict(type='FiniteLossHook'),
    dict(type='PretrainingCurvesHook'),
]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=10, save_best=None, max_keep_ckpts=1),
)
auto_scale_lr = dict(enable=False, base_batch_size=batch_size)
randomness = dict(seed=0)
