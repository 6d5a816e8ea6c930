# VideoMamba's fine-tuning with twice the rate; the lowest one stays 1e-6.
_base_ = 'videomamba.py'

optim_wrapper = dict(optimizer=dict(lr=4e-4))
__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = __cosine.eta_min_ratio = 0.0025
