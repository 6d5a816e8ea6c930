# VideoMamba, the base
backbone = dict(
    type='VideoMamba',
    arch=dict(embed_dims=48, depth=2),
    ssm_cfg=dict(d_state=8),
    drop_path_rate=0.0,
    weight_init='mamba',
)
lr = 3e-3
