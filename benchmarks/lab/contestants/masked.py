# VideoMamba with the mask: the backward scan leaves out each token's own share
_base_ = 'videomamba.py'
backbone = dict(masked=True)
