# Breakfast, 64 frames from the whole video.
_base_ = 'breakfast_u32.py'

for __transform in [
    *_base_.train_pipeline,
    *_base_.val_pipeline,
    *_base_.test_pipeline,
]:
    if 'clip_len' in __transform:
        __transform.clip_len = 64
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
