# VideoMambaPro, the class token at the end
_base_ = 'videomambapro.py'
backbone = dict(cls_position='last')
