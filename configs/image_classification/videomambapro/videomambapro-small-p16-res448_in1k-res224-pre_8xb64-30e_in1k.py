# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = '../videomamba/videomamba-small-p16-res448_in1k-res224-pre_8xb64-30e_in1k.py'

model = dict(backbone=dict(type='VideoMambaPro'))
