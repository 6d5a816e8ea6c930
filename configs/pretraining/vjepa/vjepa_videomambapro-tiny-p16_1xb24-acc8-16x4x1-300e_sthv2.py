# The same updates as those of 8 GPUs on a single one: gradients of 8 batches of 24
# clips are added up. Schedules and the moving average still count updates. For less
# memory halve the batch and double both counts.
_base_ = 'vjepa_videomambapro-tiny-p16_8xb24-16x4x1-300e_sthv2.py'

model = dict(ema=dict(interval=8))
optim_wrapper = dict(accumulative_counts=8)
