# MMAction2's ViT (VideoMAE's), attention over all tokens
backbone = dict(
    type='VisionTransformer',
    embed_dims=44,
    depth=2,
    num_heads=4,
    mlp_ratio=4,
    qkv_bias=True,
    tubelet_size=1,
    use_mean_pooling=True,
    norm_cfg=dict(type='LN', eps=1e-6),
)
lr = 1e-3
