# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = '../videomamba/videomamba-tiny-p16_k400-pre_8xb32-u32-70e_breakfast-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
