# VideoMamba-M.
_base_ = 'videomamba.py'

model = dict(backbone=dict(arch='middle'), cls_head=dict(in_channels=576))
