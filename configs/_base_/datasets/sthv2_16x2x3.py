# Something-Something V2 for attentive probes: as Kinetics-400's, with 2 clips.
_base_ = 'kinetics400_16x8x3.py'

data_root = 'data/sthv2/videos'
ann_file_val = 'data/sthv2/sthv2_val_list_videos.txt'
for __transform in [
    *_base_.train_pipeline,
    *_base_.val_pipeline,
    *_base_.test_pipeline,
]:
    if 'num_clips' in __transform:
        __transform.num_clips = 2

train_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv2/sthv2_train_list_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='sthv2'),
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    batch_size=32,
    dataset=dict(
        ann_file=ann_file_val,
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='sthv2'),
        pipeline=_base_.val_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=4,
    dataset=dict(
        ann_file=ann_file_val,
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='sthv2'),
        pipeline=_base_.test_pipeline,
    ),
)
