# Kinetics-400 as MMAction2 lays it out; 8 frames from the whole video. Trained on two
# views of each decoded clip, validated on one clip, tested on 4 clips x 3 crops.
dataset_type = 'VideoClsDataset'
data_root = 'data/kinetics400/videos_train'
data_root_val = 'data/kinetics400/videos_val'
ann_file_train = 'data/kinetics400/kinetics400_train_list_videos.txt'
ann_file_val = 'data/kinetics400/kinetics400_val_list_videos.txt'

train_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleSparse', clip_len=8, mode='train'),
    dict(type='VideoDecode', short_side=320),
    dict(
        type='RepeatViews',
        num_views=2,
        transforms=[
            dict(
                type='ClipRandAugment',
                policy='rand-m7-n4-mstd0.5-inc1',
                interpolation='bicubic',
            ),
            dict(type='RandomResizedCrop'),
            dict(type='Resize', scale=(224, 224), keep_ratio=False),
            dict(type='Flip', flip_ratio=0.5),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs'),
        ],
    ),
]
val_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleSparse', clip_len=8, mode='val'),
    dict(type='VideoDecode', short_side=320),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='VideoInit'),
    dict(type='SampleSparse', clip_len=8, num_clips=4, mode='test'),
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
    collate_fn=dict(type='repeat_pseudo_collate'),
    dataset=dict(
        type=dataset_type,
        ann_file=ann_file_train,
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='kinetics400'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        ann_file=ann_file_val,
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
        type=dataset_type,
        ann_file=ann_file_val,
        data_prefix=dict(video=data_root_val),
        metainfo=dict(classes='kinetics400'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = test_evaluator = dict(type='AccMetric')
