# The end of it, at a resolution higher still: ten epochs, two of them warm-up.
_base_ = 'videomamba_in1k_30e.py'

train_cfg = dict(max_epochs=10)
__warm_up, __cosine = _base_.param_scheduler
__warm_up.end = __cosine.begin = 2
