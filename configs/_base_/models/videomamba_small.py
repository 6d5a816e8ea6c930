# VideoMamba-S.
_base_ = 'videomamba.py'

model = dict(backbone=dict(arch='small'), cls_head=dict(in_channels=384))
