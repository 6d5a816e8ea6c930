# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = '../videomamba/videomamba-tiny-p16_k400-pre_8xb8-u32-70e_lvu-year-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
