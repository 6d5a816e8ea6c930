# VideoMamba-B on ImageNet-1K, 224 x 224, as published: as M, with the small model as a
# teacher.
_base_ = 'videomamba-middle-p16_16xb128-300e_in1k.py'

model = dict(
    backbone=dict(arch='base'),
    cls_head=dict(in_channels=768),
)
