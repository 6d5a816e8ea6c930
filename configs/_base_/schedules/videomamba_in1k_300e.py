# VideoMamba's training on ImageNet-1K: 300 epochs, rates for 512 views a step. Without
# layer decay.
_base_ = 'videomamba.py'

train_cfg = dict(max_epochs=300)
optim_wrapper = dict(optimizer=dict(lr=5e-4), paramwise_cfg=dict(layer_decay=1.0))
__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = 0.00025
__cosine.eta_min_ratio = 0.0025
auto_scale_lr = dict(base_batch_size=512)
