# Attentive probes on VideoMambaPro-Ti, frozen after V-JEPA on Something-Something V2,
# tested on 2 clips x 3 crops, the clips together (16x2x3).
# Published with V-JEPA: ViT-L 69.5, ViT-H 71.4 top-1; one probe with a rate of 1e-3,
# a weight decay from 0.01 to 1e-6, and gradients clipped to 1.
# Here: V-JEPA 2's grid, no result known: nobody has trained it.
# Another checkpoint: --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = [
    '../../_base_/models/attentive_probe.py',
    '../../_base_/datasets/sthv2_16x2x3.py',
    '../../_base_/schedules/attentive_probe.py',
    '../../_base_/probe_runtime.py',
]

pretraining = 'vjepa_videomambapro-tiny-p16_8xb24-16x4x1-300e_sthv2'
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=f'work_dirs/{pretraining}/epoch_300.pth')),
    cls_head=dict(num_classes=174, num_clips=2),
)
