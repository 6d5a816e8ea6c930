# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = '../videomamba/videomamba-middle-p16-res384_k400-pre_16xb1-u64-6e_kinetics400-rgb.py'

model = dict(backbone=dict(type='VideoMambaPro'))
