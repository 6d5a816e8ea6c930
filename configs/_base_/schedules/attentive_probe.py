# V-JEPA 2's training of probes: 20 epochs, each rate falls to 0 along a cosine, each
# weight decay stays. Rates and decays are those of the head's grid, for 256 videos
# (1024 images) an update. Nothing is clipped: one norm would tie the probes.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    constructor='ProbeGridOptimWrapperConstructor',
    optimizer=dict(type='AdamW', betas=(0.9, 0.999)),
)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=256)
