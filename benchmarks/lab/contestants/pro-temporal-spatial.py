# VideoMambaPro, place by place in the first layer, frame by frame in the second
_base_ = 'videomambapro.py'
backbone = dict(scan_order='temporal_spatial')
