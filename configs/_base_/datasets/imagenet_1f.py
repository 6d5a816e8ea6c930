# ImageNet-1K as clips of one frame: lists of "image_path label", or folders with a
# folder for each class (data/imagenet/train instead of a list).
dataset_type = 'ImageListDataset'

train_pipeline = [
    dict(type='SampleFrames', clip_len=1),
    dict(type='RawFrameDecode'),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False, interpolation='bicubic'),
    dict(type='Flip', flip_ratio=0.5),
    dict(
        type='ClipRandAugment',
        policy='rand-m9-n2-mstd0.5-inc1',
        interpolation='bicubic',
        fill=(124, 116, 104),
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='SampleFrames', clip_len=1),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 256), interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = test_pipeline

train_dataloader = dict(
    batch_size=512,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='SeededSampler'),
    dataset=dict(
        type=dataset_type,
        ann_file='data/imagenet/meta/train.txt',
        data_prefix=dict(img='data/imagenet/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        ann_file='data/imagenet/meta/val.txt',
        data_prefix=dict(img='data/imagenet/val'),
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='AccMetric')
