# The cool-down that ends vjepa2_*_8xb24-16x4x1-300e_*.py: 12 000 updates on clips of 64
# frames, while the rate falls to nearly 0 in a straight line, as published. 192 clips
# an update, in 4 batches. Another start: --cfg-options load_from=CHECKPOINT
_base_ = [
    '../../_base_/datasets/kinetics400_vjepa.py',
    '../../_base_/schedules/vjepa2_cooldown.py',
    '../../_base_/pretraining_runtime.py',
]

model = dict(backbone=dict(num_frames=64), ema=dict(interval=4))

for __transform in [*_base_.train_pipeline, *_base_.val_pipeline]:
    if 'clip_len' in __transform:
        __transform.clip_len = 64
train_dataloader = dict(batch_size=6, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=6, dataset=dict(pipeline=_base_.val_pipeline))

optim_wrapper = dict(
    accumulative_counts=4, optimizer=dict(lr=1.3e-4, betas=(0.9, 0.98))
)
auto_scale_lr = dict(enable=False, base_batch_size=192)
load_from = (
    'work_dirs/vjepa2_videomambapro-tiny-p16_8xb24-16x4x1-300e_kinetics400/'
    'epoch_300.pth'
)
