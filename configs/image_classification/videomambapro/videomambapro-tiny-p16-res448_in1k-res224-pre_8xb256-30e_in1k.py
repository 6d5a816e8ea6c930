# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = '../videomamba/videomamba-tiny-p16-res448_in1k-res224-pre_8xb256-30e_in1k.py'

model = dict(backbone=dict(type='VideoMambaPro'))
