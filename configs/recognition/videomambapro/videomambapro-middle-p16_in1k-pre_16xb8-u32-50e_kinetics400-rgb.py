# VideoMamba's recipe; VideoMambaPro published none, and starts from its IN-1K weights.
_base_ = '../videomamba/videomamba-middle-p16_in1k-pre_16xb8-u32-50e_kinetics400-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
