# Attentive probes on a frozen VideoMambaPro of a V-JEPA pre-training: five learning
# rates by four weight decays, trained in one pass as in V-JEPA 2, but one layer each as
# in V-JEPA (depth=4 for V-JEPA 2's). One probe only:
#   model.cls_head.lrs=[1e-3] model.cls_head.weight_decays=[0.01]
# Leaves choose num_classes, num_clips and the checkpoint; for another arch also
# in_channels, num_heads and frozen_stages, the number of its layers.
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='VideoMambaPro',
        arch='tiny',
        tubelet_size=2,
        num_frames=16,
        pos_embed='sincos3d',
        with_cls_token=False,
        out_type='raw',
        frozen_stages=24,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='<set in the leaf config>',
            prefix='target.module.',
        ),
    ),
    cls_head=dict(
        type='AttentiveProbeGrid',
        lrs=[5e-3, 3e-3, 1e-3, 3e-4, 1e-4],
        weight_decays=[0.01, 0.1, 0.4, 0.8],
        num_classes=400,
        in_channels=192,
        num_heads=3,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
        blending=dict(type='ClipRandomErasing', erase_prob=0.25),
    ),
)
