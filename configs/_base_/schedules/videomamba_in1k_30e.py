# VideoMamba's further training on ImageNet-1K at a higher resolution: after the warm-up
# the rate stays 5e-6. Rates are for 512 views a step.
_base_ = 'videomamba_in1k_300e.py'

train_cfg = dict(max_epochs=30)
optim_wrapper = dict(optimizer=dict(lr=5e-6, weight_decay=1e-8))
__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = 0.2
__cosine.eta_min_ratio = 1
auto_scale_lr = dict(base_batch_size=512)
