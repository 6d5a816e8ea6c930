# VideoMamba's recipe; VideoMambaPro published none.
_base_ = '../videomamba/videomamba-tiny-p16_8xb512-300e_in1k.py'

model = dict(backbone=dict(type='VideoMambaPro'))
