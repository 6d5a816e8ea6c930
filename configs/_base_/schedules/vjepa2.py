# V-JEPA 2's pre-training: 40 epochs of warm-up, then everything is constant, for as
# long as one likes. Nothing is clipped. vjepa2_cooldown.py ends it.
_base_ = 'vjepa.py'

model = dict(
    ema=dict(_delete_=True, type='LinearEMA', momentum=0.00075),
)
optim_wrapper = dict(optimizer=dict(lr=5.25e-4), clip_grad=None, clip_begin=0)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.190476,  # 1e-4
        end=40,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
