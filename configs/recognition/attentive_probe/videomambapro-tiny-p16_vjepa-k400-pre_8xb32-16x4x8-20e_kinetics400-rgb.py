# Attentive probes on VideoMambaPro-Ti, frozen after V-JEPA on Kinetics-400,
# tested on 8 clips x 3 crops, the clips together (16x8x3).
# Published with V-JEPA: ViT-L 80.8, ViT-H 82.0 top-1; one probe with a rate of 1e-3,
# a weight decay from 0.01 to 1e-6, and gradients clipped to 1.
# Here: V-JEPA 2's grid, no result known: nobody has trained it.
# Another checkpoint: --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = [
    '../../_base_/models/attentive_probe.py',
    '../../_base_/datasets/kinetics400_16x8x3.py',
    '../../_base_/schedules/attentive_probe.py',
    '../../_base_/probe_runtime.py',
]

pretraining = 'vjepa_videomambapro-tiny-p16_8xb24-16x4x1-300e_kinetics400'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=f'work_dirs/{pretraining}/epoch_300.pth')),
    cls_head=dict(num_classes=400, num_clips=8),
)
