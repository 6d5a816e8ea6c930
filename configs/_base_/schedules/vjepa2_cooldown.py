# The end of V-JEPA 2's pre-training, with load_from what vjepa2.py gave: 40 epochs in
# which the rate falls in a straight line to 1e-6, the final_lr of its files. Usually on
# longer clips. Its released code draws that line over 1.25 times the epochs and stops
# at 1.058e-4, a fifth of the rate. As there: param_scheduler.0.end=50. It also goes on
# with AdamW's moments; load_from starts them anew.
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
