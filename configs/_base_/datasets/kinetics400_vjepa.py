# Kinetics-400 without its labels for V-JEPA. Labels of the validation list are for
# watching only.
_base_ = 'vjepa.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
(__decode,) = (t for t in train_pipeline if t.type == 'VideoDecode')
__decode.short_side = 320
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
    dataset=dict(
        ann_file='data/kinetics400/kinetics400_train_list_videos.txt',
        data_prefix=dict(video='data/kinetics400/videos_train'),
        pipeline=train_pipeline,
    )
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
val_cfg = dict(type='ValLoop')
