# V-JEPA with VideoMambaPro: tubelets of 2 frames, no class token, fixed positions, no
# dropped paths; V-JEPA's two kinds of masks. Leaves choose arch and the predictor's
# width. They inherit it from schedules/vjepa*.py, which add the moving average.
model = dict(
    type='VideoJEPA',
    backbone=dict(
        type='VideoMambaPro',
        arch='tiny',
        tubelet_size=2,
        num_frames=16,
        drop_path_rate=0.0,
        pos_embed='sincos3d',
        with_cls_token=False,
        out_type='raw',
        weight_init='mamba',
    ),
    predictor=dict(type='JEPAMambaPredictor', embed_dims=96, depth=12),
    masks=[
        dict(type='MultiBlock3DMask', num_blocks=8, spatial_scale=(0.15, 0.15)),
        dict(type='MultiBlock3DMask', num_blocks=2, spatial_scale=(0.7, 0.7)),
    ],
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    ),
)
