# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = '../videomamba/videomamba-middle-p16_k400-pre_8xb4-u64-30e_coin-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
