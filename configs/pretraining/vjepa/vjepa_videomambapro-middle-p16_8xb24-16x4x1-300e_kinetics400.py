# As the tiny one, with a predictor of 384 channels, Video Mamba JEPA's for Middle.
_base_ = 'vjepa_videomambapro-tiny-p16_8xb24-16x4x1-300e_kinetics400.py'

model = dict(
    backbone=dict(arch='middle', with_cp=True),
    predictor=dict(embed_dims=384),
)
