# VideoMambaPro, initialised as published
_base_ = 'videomambapro.py'
backbone = dict(weight_init='official')
