# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = (
    '../videomamba/videomamba-tiny-p16-res384_k400-pre_16xb6-u64-10e_kinetics400-rgb.py'
)

model = dict(backbone=dict(type='VideoMambaPro'))
