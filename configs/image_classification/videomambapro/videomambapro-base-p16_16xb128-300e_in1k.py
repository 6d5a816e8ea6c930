# VideoMamba's recipe; VideoMambaPro published none.
_base_ = '../videomamba/videomamba-base-p16_16xb128-300e_in1k.py'

model = dict(backbone=dict(type='VideoMambaPro'))
