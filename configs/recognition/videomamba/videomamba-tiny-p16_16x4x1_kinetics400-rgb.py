_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/kinetics400_16x4x1.py',
    '../../_base_/schedules/adamw_50e.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='tiny', drop_path_rate=0.1),
    cls_head=dict(in_channels=192),
)

# the smallest model is trained longer and decayed more
train_cfg = dict(max_epochs=70)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
param_scheduler = [
    _base_.param_scheduler[0],
    {**_base_.param_scheduler[1], 'T_max': 65, 'end': 70},
]
