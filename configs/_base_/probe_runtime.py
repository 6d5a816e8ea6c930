# The default runtime for a grid of probes: the best one is noted in the checkpoints.
_base_ = 'default_runtime.py'

custom_hooks = [*_base_.custom_hooks, dict(type='ProbeChoiceHook')]
