# VideoMambaPro, the class token in the middle
_base_ = 'videomambapro.py'
backbone = dict(cls_position='middle')
