# The fine-tuning that VideoMAE published for UCF101 (scripts/ucf101): 100 epochs, from
# 1e-8 up to 5e-4 and down to 1e-5. Layer decay reaches all layers, and states are not
# decayed.
_base_ = 'videomamba.py'

train_cfg = dict(max_epochs=100)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(layer_decay=0.7, stem_only=False, decay_states=False),
)
__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = 2e-5
__cosine.eta_min_ratio = 0.02
