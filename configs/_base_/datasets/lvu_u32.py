# LVU, 10 directors of films; 32 frames from the whole video. All tasks share the
# videos. VideoMamba's lists (video_path,label); tested on 4 clips x 3 crops.
# No class names come along.
_base_ = 'kinetics400_u32.py'

data_root = 'data/lvu/videos'
train_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/train.csv',
        data_prefix=dict(video=data_root),
        metainfo=dict(_delete_=True),
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/val.csv',
        data_prefix=dict(video=data_root),
        metainfo=dict(_delete_=True),
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/lvu/director/test.csv',
        data_prefix=dict(video=data_root),
        metainfo=dict(_delete_=True),
    )
)
