# VideoMamba-Ti on LVU (writers), 32 frames of 224 x 224, as published.
_base_ = 'videomamba-tiny-p16_k400-pre_8xb8-u32-70e_lvu-director-rgb.py'

train_dataloader = dict(dataset=dict(ann_file='data/lvu/writer/train.csv'))
val_dataloader = dict(dataset=dict(ann_file='data/lvu/writer/val.csv'))
test_dataloader = dict(dataset=dict(ann_file='data/lvu/writer/test.csv'))
