# V-JEPA's clips: 16 frames, about every fourth, from anywhere; large crops and flips. An
# epoch is 300 updates of 192 clips. Those who inherit it choose the videos.
train_dataloader = dict(
    batch_size=24,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', num_samples=300 * 192),
    dataset=dict(
        type='VideoClsDataset',
        pipeline=[
            dict(type='VideoInit'),
            dict(type='SampleVJEPA', clip_len=16, frame_interval=4),
            dict(type='VideoDecode'),
            dict(
                type='RandomResizedCrop',
                area_range=(0.3, 1.0),
                aspect_ratio_range=(0.75, 1.35),
            ),
            dict(type='Resize', scale=(224, 224), keep_ratio=False),
            dict(type='Flip', flip_ratio=0.5),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs'),
        ],
    ),
)
