# VideoMamba on 16 frames; leaves choose arch, in_channels and drop_path_rate.
model = dict(
    type='Recognizer3D',
    backbone=dict(type='VideoMamba', arch='tiny', num_frames=16),
    cls_head=dict(
        type='TimeSformerHead',
        num_classes=400,
        in_channels=192,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    ),
)
