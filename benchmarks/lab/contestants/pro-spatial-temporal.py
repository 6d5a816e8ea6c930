# VideoMambaPro, scanning frame by frame in the first layer, place by place in the second
_base_ = 'videomambapro.py'
backbone = dict(scan_order='spatial_temporal')
