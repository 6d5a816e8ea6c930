# Kinetics-400 without its labels for V-JEPA: 16 frames, about every fourth, from
# anywhere; large crops and flips. An epoch is 300 updates of 192 clips. Labels of the
# validation list are for watching only.
train_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleVJEPA', clip_len=16, frame_interval=4),
    dict(type='VideoDecode', short_side=320),
    dict(
        type='RandomResizedCrop',
        area_range=(0.3, 1.0),
        aspect_ratio_range=(0.75, 1.35),
    ),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleVJEPA', clip_len=16, frame_interval=4, random=False),
    dict(type='VideoDecode', short_side=320),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

train_dataloader = dict(
    batch_size=24,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', num_samples=300 * 192),
    dataset=dict(
        type='VideoClsDataset',
        ann_file='data/kinetics400/kinetics400_train_list_videos.txt',
        data_prefix=dict(video='data/kinetics400/videos_train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=24,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VideoClsDataset',
        ann_file='data/kinetics400/kinetics400_val_list_videos.txt',
        data_prefix=dict(video='data/kinetics400/videos_val'),
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='RepresentationMetric')
