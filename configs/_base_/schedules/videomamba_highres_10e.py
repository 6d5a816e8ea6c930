# VideoMamba's further training at a higher resolution: ten epochs, two of them warm-up,
# from 5e-6, and next to no weight decay. The lowest rate stays 1e-6.
_base_ = 'videomamba.py'

train_cfg = dict(max_epochs=10)
optim_wrapper = dict(optimizer=dict(lr=5e-6, weight_decay=1e-8))
__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = __cosine.eta_min_ratio = 0.2
__warm_up.end = __cosine.begin = 2
