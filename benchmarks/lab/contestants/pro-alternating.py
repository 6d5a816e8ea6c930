# VideoMambaPro, scanning frame by frame and place by place in turn
_base_ = 'videomambapro.py'
backbone = dict(scan_order='alternating')
