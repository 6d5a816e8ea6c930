# The control: MMAction2's ViT-S and an attention predictor instead of VideoMambaPro,
# and nothing else, to tell what is due to the objective and what to the backbone.
_base_ = 'vjepa_videomambapro-tiny-p16_8xb24-16x4x1-300e_sthv2.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TokenVisionTransformer',
        num_frames=16,
        embed_dims=384,
        depth=12,
        num_heads=6,
    ),
    predictor=dict(
        _delete_=True,
        type='JEPATransformerPredictor',
        embed_dims=192,
        depth=12,
        num_heads=6,
    ),
)
