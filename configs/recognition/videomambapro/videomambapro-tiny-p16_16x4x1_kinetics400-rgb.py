# VideoMamba's recipe; VideoMambaPro published none, and starts from its IN-1K weights.
_base_ = '../videomamba/videomamba-tiny-p16_16x4x1_kinetics400-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
