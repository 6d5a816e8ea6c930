# The default runtime for pre-training: curves in the work directory, and the last
# checkpoints, of which a later one may well be better than one with a lower loss.
_base_ = 'default_runtime.py'

default_hooks = dict(
    checkpoint=dict(interval=10, save_best=None, max_keep_ckpts=5),
)
custom_hooks = [*_base_.custom_hooks, dict(type='PretrainingCurvesHook')]
