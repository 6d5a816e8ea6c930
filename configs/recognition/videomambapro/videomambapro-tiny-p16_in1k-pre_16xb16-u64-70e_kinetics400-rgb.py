# VideoMamba's recipe; VideoMambaPro published none, and starts from its IN-1K weights.
_base_ = '../videomamba/videomamba-tiny-p16_in1k-pre_16xb16-u64-70e_kinetics400-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
