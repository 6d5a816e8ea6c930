# VideoMambaPro, scanning the projected tokens without the convolution
_base_ = 'videomambapro.py'
backbone = dict(scan_input='raw')
