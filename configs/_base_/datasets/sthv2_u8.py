# Something-Something V2 as MMAction2 lays it out (mp4); 8 frames from the whole video.
# No flips: left and right mean something. Tested on 2 clips x 3 crops.
_base_ = 'kinetics400_u8.py'

data_root = 'data/sthv2/videos'
train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='SampleSSv2', clip_len=8, mode='train')
del train_pipeline[3].transforms[3]  # Flip
val_pipeline = _base_.val_pipeline
val_pipeline[1] = dict(type='SampleSSv2', clip_len=8, mode='val')
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='SampleSSv2', clip_len=8, num_clips=2, mode='test')

train_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv2/sthv2_train_list_videos.txt',
        data_prefix=dict(video=data_root),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv2/sthv2_val_list_videos.txt',
        data_prefix=dict(video=data_root),
        pipeline=val_pipeline,
    )
)
test_dataloader = dict(
    dataset=dict(
        ann_file='data/sthv2/sthv2_val_list_videos.txt',
        data_prefix=dict(video=data_root),
        pipeline=test_pipeline,
    )
)
