_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/kinetics400_16x4x1.py',
    '../../_base_/schedules/adamw_50e.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='middle', drop_path_rate=0.8),
    cls_head=dict(in_channels=576),
)

optim_wrapper = dict(optimizer=dict(lr=1e-4))
