# V-JEPA: predict the features of hidden patches from the visible ones
steps = 600
batch = 16
lr = 2e-3
model = dict(
    type='VideoJEPA',
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
    # most patches are of the ground: the median, which p = 1 learns, ignores the rest
    loss_exponent=2.0,
    # fast, as the training is short: else it remains close to the initial weights
    ema=dict(
        type='LinearEMA',
        momentum=0.02,
        end_momentum=0.0,
        total_updates=int(1.25 * steps),
    ),
)
encoder = 'target.module'
