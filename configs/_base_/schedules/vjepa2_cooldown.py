# The end of V-JEPA 2's pre-training, with load_from what vjepa2.py gave: 40 epochs in
# which the rate falls to 1e-6 in a straight line. Usually on longer clips.
_base_ = 'vjepa2.py'

train_cfg = dict(max_epochs=40)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1.0,
        end_factor=0.0019048,  # 1e-6
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
