# VideoMamba's recipe; VideoMambaPro published none, and starts from its weights, or
# from your own with --cfg-options load_from=...
_base_ = (
    '../videomamba/videomamba-small-p16-res288_sthv2-pre_16xb12-u16-10e_sthv2-rgb.py'
)

model = dict(backbone=dict(type='VideoMambaPro'))
