# VideoMamba's recipe; VideoMambaPro published none, and starts from its IN-1K weights.
_base_ = '../videomamba/videomamba-tiny-p16_in1k-pre_8xb64-u16-35e_sthv2-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
