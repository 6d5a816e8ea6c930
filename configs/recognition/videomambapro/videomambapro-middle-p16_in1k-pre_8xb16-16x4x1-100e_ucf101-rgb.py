# VideoMAE's settings; VideoMambaPro published none, and starts from VideoMamba's IN-1K
# weights.
_base_ = '../videomamba/videomamba-middle-p16_in1k-pre_8xb16-16x4x1-100e_ucf101-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
