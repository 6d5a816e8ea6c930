_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/kinetics400_16x4x1.py',
    '../../_base_/schedules/adamw_50e.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='small', drop_path_rate=0.35),
    cls_head=dict(in_channels=384),
)
