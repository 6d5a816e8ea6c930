# VideoMamba with the residual: scans start from their first token
_base_ = 'videomamba.py'
backbone = dict(residual=True)
