# HMDB51 as MMAction2 lays it out, first split; stretches of
# 16 frames, every fourth. Tested on 5 clips x 3 crops.
_base_ = 'kinetics400_u8.py'

data_root = 'data/hmdb51/videos'
train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(
    type='SampleDense', clip_len=16, frame_interval=4, mode='train'
)
val_pipeline = _base_.val_pipeline
val_pipeline[1] = dict(type='SampleDense', clip_len=16, frame_interval=4, mode='val')
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(
    type='SampleDense', clip_len=16, frame_interval=4, num_clips=5, mode='test'
)

train_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/hmdb51_train_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/hmdb51_val_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        pipeline=val_pipeline,
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/hmdb51_val_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        pipeline=test_pipeline,
    )
)
