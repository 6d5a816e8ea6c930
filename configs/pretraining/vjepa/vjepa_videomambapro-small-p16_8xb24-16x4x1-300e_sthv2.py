# As the tiny one, with a predictor of 192 channels.
_base_ = 'vjepa_videomambapro-tiny-p16_8xb24-16x4x1-300e_sthv2.py'

model = dict(
    backbone=dict(arch='small'),
    predictor=dict(embed_dims=192),
)
