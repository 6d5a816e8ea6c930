# Kinetics-400 with stretches of 16 frames, every fourth: VideoMAE's sampling.
_base_ = 'kinetics400_u8.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(
    type='SampleDense', clip_len=16, frame_interval=4, mode='train'
)
val_pipeline = _base_.val_pipeline
val_pipeline[1] = dict(type='SampleDense', clip_len=16, frame_interval=4, mode='val')
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(
    type='SampleDense', clip_len=16, frame_interval=4, num_clips=4, mode='test'
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
