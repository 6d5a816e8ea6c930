# Something-Something V2 as MMAction2 lays it out (mp4); 8 frames from the whole video.
# No flips: left and right mean something. Tested on 2 clips x 3 crops.
_base_ = 'kinetics400_u8.py'

data_root = 'data/sthv2/videos'
for __transform in [
    *_base_.train_pipeline,
    *_base_.val_pipeline,
    *_base_.test_pipeline,
]:
    if __transform.type == 'SampleSparse':
        __transform.type = 'SampleSSv2'
    if 'num_clips' in __transform:
        __transform.num_clips = 2
*__, __views = _base_.train_pipeline
__views.transforms = [t for t in __views.transforms if t.type != 'Flip']

train_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv2/sthv2_train_list_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='sthv2'),
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv2/sthv2_val_list_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='sthv2'),
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv2/sthv2_val_list_videos.txt',
        data_prefix=dict(video=data_root),
        metainfo=dict(classes='sthv2'),
        pipeline=_base_.test_pipeline,
    )
)
