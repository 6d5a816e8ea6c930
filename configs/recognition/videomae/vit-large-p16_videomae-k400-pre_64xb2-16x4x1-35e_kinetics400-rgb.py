# VideoMAE's ViT-L on Kinetics-400, pre-trained on it: fine-tuned as published
# (64 GPUs x 2 videos in two views each), tested on 5 clips x 3 crops. Test the
# checkpoint of MMAction2's model zoo (85.3 there) or one of VideoMAE's:
#   tools/test.py CONFIG CHECKPOINT --dump result.pkl
_base_ = 'vit-base-p16_videomae-k400-pre_64xb6-16x4x1-75e_kinetics400-rgb.py'

model = dict(
    backbone=dict(embed_dims=1024, depth=24, num_heads=16),
    cls_head=dict(in_channels=1024),
)
train_dataloader = dict(batch_size=2)
val_dataloader = dict(batch_size=2)

train_cfg = dict(max_epochs=35)
optim_wrapper = dict(optimizer=dict(lr=2e-3), paramwise_cfg=dict(num_layers=24))
__warm_up, __cosine = _base_.param_scheduler
__warm_up.start_factor = __cosine.eta_min_ratio = 0.0005
