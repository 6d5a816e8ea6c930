# COIN, 180 tasks; 32 frames from the whole video.
# VideoMamba's lists (video_path,label); tested on 10 clips x 3 crops.
# No class names come along.
_base_ = 'kinetics400_u32.py'

data_root = 'data/coin/videos'
(__sample,) = (t for t in _base_.test_pipeline if 'num_clips' in t)
__sample.num_clips = 10

train_dataloader = dict(
    dataset=dict(
        ann_file='data/coin/train.csv',
        data_prefix=dict(video=data_root),
        metainfo=dict(_delete_=True),
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/coin/val.csv',
        data_prefix=dict(video=data_root),
        metainfo=dict(_delete_=True),
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/coin/test.csv',
        data_prefix=dict(video=data_root),
        metainfo=dict(_delete_=True),
        pipeline=_base_.test_pipeline,
    )
)
