# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = '../videomamba/videomamba-small-p16_k400-pre_16xb16-u32-50e_breakfast-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
