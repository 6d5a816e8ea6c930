# VideoMamba without a size, which videomamba_{tiny,small,middle}.py add. Leaves choose
# num_frames, drop_path_rate and, for other data than Kinetics-400, the classes.
model = dict(
    type='Recognizer3D',
    backbone=dict(type='VideoMamba', num_frames=16),
    cls_head=dict(
        type='TimeSformerHead',
        num_classes=400,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
        blending=dict(
            type='ClipRandomErasing',
            erase_prob=0.25,
            blending=dict(
                type='RandomBatchAugment',
                augments=[
                    dict(type='MixupBlending', num_classes=400, alpha=0.8),
                    dict(type='CutmixBlending', num_classes=400, alpha=1.0),
                ],
                probs=[0.5, 0.5],
            ),
        ),
    ),
)
