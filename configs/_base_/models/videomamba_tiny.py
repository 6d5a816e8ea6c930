# VideoMamba-Ti.
_base_ = 'videomamba.py'

model = dict(backbone=dict(arch='tiny'), cls_head=dict(in_channels=192))
