# MMAction2's TimeSformer, divided attention over time and space
backbone = dict(
    type='TimeSformer',
    embed_dims=36,
    num_heads=4,
    num_transformer_layers=2,
    attention_type='divided_space_time',
    pretrained=None,
    dropout_ratio=0.0,
)
lr = 1e-3
