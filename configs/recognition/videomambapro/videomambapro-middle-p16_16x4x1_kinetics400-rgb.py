_base_ = '../videomamba/videomamba-middle-p16_16x4x1_kinetics400-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
