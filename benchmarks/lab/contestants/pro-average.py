# VideoMambaPro, read out by the mean of the patch tokens
_base_ = 'videomambapro.py'
backbone = dict(out_type='avg_featmap')
