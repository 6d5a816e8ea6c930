# Attentive probes on VideoMambaPro-Ti, frozen after V-JEPA on Kinetics-400,
# for images of ImageNet-1K, each repeated to a 16-frame clip.
# Published with V-JEPA: ViT-L 74.8, ViT-H 75.9 top-1; one probe with a rate of 1e-3
# and a weight decay from 1e-3 to 1e-6.
# Here: V-JEPA 2's grid for images, no result known: nobody has trained it. 20 probes
# warm up from 2e-4, the last one has no warm-up and its weight decay falls to 0.
# Another checkpoint: --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = [
    '../../_base_/models/attentive_probe.py',
    '../../_base_/datasets/imagenet_16f.py',
    '../../_base_/schedules/attentive_probe.py',
    '../../_base_/probe_runtime.py',
]

pretraining = 'vjepa_videomambapro-tiny-p16_8xb24-16x4x1-300e_kinetics400'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=f'work_dirs/{pretraining}/epoch_300.pth')),
    cls_head=dict(
        num_classes=1000,
        num_clips=1,
        lrs=[5e-4, 1e-3, 1.5e-3, 2e-3],
        weight_decays=[5e-4, 1e-3, 2e-3, 4e-3, 8e-3],
        pairs=[(1e-3, 1e-3)],
    ),
)
schedule = dict(type='ProbeGridScheduler', by_epoch=True, convert_to_iter_based=True)
param_scheduler = [
    dict(
        **schedule,
        param_name='lr',
        starts=[*[0.4] * 5, *[0.2] * 5, *[0.4 / 3] * 5, *[0.1] * 5, 1.0],  # 2e-4
        warmups=[5] * 20 + [0],
    ),
    dict(**schedule, param_name='weight_decay', finals=[1.0] * 20 + [0.0]),
]
auto_scale_lr = dict(base_batch_size=1024)
