# UCF101 as MMAction2 lays it out, first split; stretches of 16 frames, every fourth.
# Tested on 5 clips x 3 crops.
_base_ = 'kinetics400_16x4x1.py'

data_root = 'data/ucf101/videos'
(__sample,) = (t for t in _base_.test_pipeline if 'num_clips' in t)
__sample.num_clips = 5

train_dataloader = dict(
    dataset=dict(
        ann_file='data/ucf101/ucf101_train_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='ucf101'),
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/ucf101/ucf101_val_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='ucf101'),
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/ucf101/ucf101_val_split_1_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='ucf101'),
        pipeline=_base_.test_pipeline,
    )
)
