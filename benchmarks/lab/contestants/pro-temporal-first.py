# VideoMambaPro, scanning place by place
_base_ = 'videomambapro.py'
backbone = dict(scan_order='temporal_first')
