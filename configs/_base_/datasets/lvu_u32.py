# LVU, directors of films: 10; 32 frames from the whole video. Its tasks share the videos.
# VideoMamba's lists (video_path,label); tested on 4 clips x 3 crops.
_base_ = 'kinetics400_u8.py'

data_root = 'data/lvu/videos'
train_pipeline = _base_.train_pipeline
train_pipeline[1].clip_len = 32
val_pipeline = _base_.val_pipeline
val_pipeline[1].clip_len = 32
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(clip_len=32, num_clips=4)

train_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/train.csv',
        data_prefix=dict(video=data_root),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/val.csv',
        data_prefix=dict(video=data_root),
        pipeline=val_pipeline,
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/test.csv',
        data_prefix=dict(video=data_root),
        pipeline=test_pipeline,
    )
)
