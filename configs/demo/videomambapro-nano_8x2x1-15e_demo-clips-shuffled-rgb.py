# Control of the demo: the same, with the frames of each clip in random order.
_base_ = './videomambapro-nano_8x2x1-15e_demo-clips-rgb.py'

shuffle = dict(type='ShuffleFrames')
train_pipeline = [*_base_.train_pipeline[:2], shuffle, *_base_.train_pipeline[2:]]
val_pipeline = [*_base_.val_pipeline[:2], shuffle, *_base_.val_pipeline[2:]]
test_pipeline = [*_base_.test_pipeline[:2], shuffle, *_base_.test_pipeline[2:]]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
