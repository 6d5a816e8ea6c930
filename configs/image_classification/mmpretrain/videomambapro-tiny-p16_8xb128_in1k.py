# VideoMambaPro-Ti on ImageNet-1K in mmpretrain's own ImageClassifier, with its recipe
# for Swin. Needs mmpretrain and torchvision: pip install mmaction_videomambapro[image].
# The checkpoints are those of the configs for MMAction2, and the other way round.
_base_ = [
    'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py',
    'mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['mmaction_videomambapro'], allow_failed_imports=False)

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ImageVideoMambaPro', arch='tiny', drop_path_rate=0.0),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=192,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    train_cfg=dict(
        augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]
    ),
)
train_dataloader = dict(batch_size=128)
# not decayed: embeddings, as published, and A_log, by Mamba's own rule, while the released
# code of VideoMamba decays it; mmpretrain's schedule leaves out D, biases and norms
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'backbone.cls_token': dict(decay_mult=0.0),
            'backbone.pos_embed': dict(decay_mult=0.0),
            'backbone.temporal_pos_embedding': dict(decay_mult=0.0),
            '.A_log': dict(decay_mult=0.0),
            '.A_b_log': dict(decay_mult=0.0),
        }
    )
)
