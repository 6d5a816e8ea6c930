# HMDB51 as MMAction2 lays it out, first split; stretches of 16 frames, every fourth.
# Tested on 5 clips x 3 crops.
_base_ = 'kinetics400_16x4x1.py'

data_root = 'data/hmdb51/videos'
(__sample,) = (t for t in _base_.test_pipeline if 'num_clips' in t)
__sample.num_clips = 5

train_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/hmdb51_train_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='hmdb51'),
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/hmdb51_val_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='hmdb51'),
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/hmdb51_val_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='hmdb51'),
        pipeline=_base_.test_pipeline,
    )
)
