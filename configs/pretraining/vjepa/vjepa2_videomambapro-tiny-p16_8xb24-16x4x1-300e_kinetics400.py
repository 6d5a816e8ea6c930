# V-JEPA 2's schedule (arXiv 2506.09985): after the warm-up everything is constant, and
# a cool-down ends it: vjepa2_*_8xb6-acc4-64x4x1-40e_*.py.
# Published: 3072 clips an update, of 256 pixels and 4 frames a second, a rate of 5.25e-4,
# betas of 0.9 and 0.999, 240 000 updates for ViT-g.
# Here: 192 clips, the rate scaled by the square root of that, 90 000 updates; clips,
# betas, masks and the rest as in vjepa_*.py. Not tuned: nobody has trained it.
_base_ = [
    '../../_base_/datasets/kinetics400_vjepa.py',
    '../../_base_/schedules/vjepa2.py',
    '../../_base_/pretraining_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=1.3e-4, betas=(0.9, 0.98)))
auto_scale_lr = dict(enable=False, base_batch_size=192)
