# V-JEPA (arXiv 2404.08471) with VideoMambaPro-Ti on Kinetics-400.
# Published: V-JEPA's ViT-L with 3072 clips an update and a rate of 6.25e-4; Video Mamba
# JEPA's Tiny with 24 clips and rates from 6.25e-4 to 1.9e-5, in float32.
# Here: 192 clips an update, 6.25e-4 scaled by the square root of that, bf16 with scans
# in float32, Video Mamba JEPA's second beta (V-JEPA's is 0.999), masks that are
# equalised without a bias to the start of the clip, and mask tokens in the order of the
# clip. Not tuned, and no result is known: nobody has trained it. If a collapse shows
# (rankme, target_std), lower the rate or the EMA's momentum.
_base_ = [
    '../../_base_/datasets/kinetics400_vjepa.py',
    '../../_base_/schedules/vjepa.py',
    '../../_base_/pretraining_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=1.56e-4, betas=(0.9, 0.98)))
auto_scale_lr = dict(enable=False, base_batch_size=192)
