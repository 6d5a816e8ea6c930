# VideoMambaPro, forwards frame by frame, backwards place by place
_base_ = 'videomambapro.py'
backbone = dict(scan_order='spatiotemporal_v1')
