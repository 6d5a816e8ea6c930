# Kinetics-400 with stretches of 16 frames, every fourth: VideoMAE's sampling.
_base_ = 'kinetics400_u8.py'

for __transform in [
    *_base_.train_pipeline,
    *_base_.val_pipeline,
    *_base_.test_pipeline,
]:
    if __transform.type == 'SampleSparse':
        __transform.update(type='SampleDense', clip_len=16, frame_interval=4)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
