# V-JEPA's pre-training, with its model: AdamW, bf16, 300 epochs of 300 updates. The
# rate warms up for 40 epochs and follows a cosine, weight decay another, both 1.25
# times as long as the training, so that neither reaches its end. Encoder and predictor
# are clipped apart, after the warm-up. All is decayed but biases and vectors, mask
# tokens too, as released; A_log is not, by Mamba's own rule, against what Video Mamba
# JEPA does.
#
# All durations are in epochs, and all but the warm-up follows train_cfg.max_epochs. An
# epoch is as long as the sampler makes it: for 300 updates, num_samples is 300 x clips
# of an update, over all GPUs and accumulated steps. Then accumulating gradients leaves
# the schedules as they are; the interval of the moving average has to be
# accumulative_counts. Only clip_begin counts updates.
_base_ = '../models/vjepa.py'

warmup_epochs = 40
updates_per_epoch = 300

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=10)

model = dict(
    ema=dict(
        type='LinearEMA',
        momentum=0.002,
        end_momentum=0.0,
        stretch=1.25,
    )
)
optim_wrapper = dict(
    type='GuardedAmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(type='AdamW', lr=6.25e-4, betas=(0.9, 0.999), weight_decay=0.04),
    paramwise_cfg=dict(
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys=dict(
            A_log=dict(decay_mult=0.0),
            A_b_log=dict(decay_mult=0.0),
        ),
    ),
    clip_grad=dict(max_norm=10.0),
    clip_begin=(warmup_epochs + 1) * updates_per_epoch,  # as released
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.32,  # 2e-4
        end=warmup_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='StretchedCosineLR',
        stretch=1.25,
        begin=warmup_epochs,
        eta_min=1e-6,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='StretchedCosineParamScheduler',
        param_name='weight_decay',
        stretch=1.25,
        eta_min_ratio=10,  # to 0.4; a ratio leaves what is not decayed at 0
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
