# VideoMambaPro, each direction in both orders
_base_ = 'videomambapro.py'
backbone = dict(scan_order='spatiotemporal_v2')
