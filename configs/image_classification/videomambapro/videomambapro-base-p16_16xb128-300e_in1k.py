# VideoMamba's recipe, and VideoMamba's small model as a teacher; VideoMambaPro
# published neither.
_base_ = '../videomamba/videomamba-base-p16_16xb128-300e_in1k.py'

model = dict(backbone=dict(type='VideoMambaPro'))
