# VideoMamba with the forward scan alone, class token at the end
_base_ = 'videomamba.py'
backbone = dict(bimamba='none', cls_position='last')
