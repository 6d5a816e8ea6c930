# Kinetics-400 for attentive probes, with the clips of V-JEPA's: 8 of 16 frames, about
# every fourth, in training and tests, as the head attends to all of them; tested on 3
# crops, validated on one. No flips. V-JEPA draws the clips of its validation as well;
# here they are where their parts of the video begin, the same each time.
data_root = 'data/kinetics400/videos_train'
data_root_val = 'data/kinetics400/videos_val'
sampling = dict(
    type='SampleVJEPA',
    clip_len=16,
    frame_interval=4,
    num_clips=8,
    allow_overlap=True,
)

train_pipeline = [
    dict(type='VideoInit'),
    sampling,
    dict(type='VideoDecode', short_side=320),
    dict(
        type='ClipRandAugment',
        policy='rand-m7-n4-mstd0.5-inc1',
        interpolation='bicubic',
    ),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = [
    dict(type='VideoInit'),
    dict(**sampling, random=False),
    dict(type='VideoDecode', short_side=320),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='VideoInit'),
    dict(**sampling, random=False),
    dict(type='VideoDecode', short_side=320),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='ThreeCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='SeededSampler'),
    dataset=dict(
        type='VideoClsDataset',
        ann_file='data/kinetics400/kinetics400_train_list_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='kinetics400'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VideoClsDataset',
        ann_file='data/kinetics400/kinetics400_val_list_videos.txt',
        data_prefix=dict(video=data_root_val),
        metainfo=dict(classes='kinetics400'),
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VideoClsDataset',
        ann_file='data/kinetics400/kinetics400_val_list_videos.txt',
        data_prefix=dict(video=data_root_val),
        metainfo=dict(classes='kinetics400'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
# the best probe on these videos; in tests also that of the validation (AccMetric)
val_evaluator = dict(type='ProbeGridMetric')
test_evaluator = [
    dict(type='AccMetric'),
    dict(type='ProbeGridMetric', prefix='probes'),
]
