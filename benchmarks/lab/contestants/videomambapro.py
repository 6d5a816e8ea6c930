# VideoMambaPro: mask and residual
_base_ = 'videomamba.py'
backbone = dict(type='VideoMambaPro')
