# LVU, 10 directors of films; 32 frames from the whole video. All tasks share the
# videos. VideoMamba's lists (video_path,label); tested on 4 clips x 3 crops.
_base_ = 'kinetics400_u32.py'

data_root = 'data/lvu/videos'
train_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/train.csv',
        data_prefix=dict(video=data_root),
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/val.csv',
        data_prefix=dict(video=data_root),
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/test.csv',
        data_prefix=dict(video=data_root),
    )
)
