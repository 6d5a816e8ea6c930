# VideoMamba's fine-tuning: AdamW, bf16, five epochs of warm-up, a cosine to the end.
# Learning rates are for 256 views a step, and scaled to what a step has: 128 videos in
# two views each (RepeatViews). The lowest rate is 1e-6 before scaling.
# Leaves choose train_cfg.max_epochs, the rate, its lowest share and the weight decay.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),  # bf16 has the range of float32
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='LayerDecayOptimWrapperConstructor',
    # as released, where layer decay reaches the stem only and A_log is decayed
    paramwise_cfg=dict(layer_decay=0.75, stem_only=True, decay_states=True),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.005,
        begin=0,
        end=5,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        eta_min_ratio=0.005,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=True, base_batch_size=128)
