# The same in six epochs, one of them warm-up; a step takes two batches.
_base_ = 'videomamba_highres_10e.py'

train_cfg = dict(max_epochs=6)
optim_wrapper = dict(accumulative_counts=2)
__warm_up, __cosine = _base_.param_scheduler
__warm_up.end = __cosine.begin = 1
auto_scale_lr = dict(base_batch_size=64)
