# VideoMamba-Ti on LVU (relationships), 32 frames of 224 x 224, as published.
_base_ = 'videomamba-tiny-p16_k400-pre_8xb8-u32-70e_lvu-director-rgb.py'

__mixup, __cutmix = _base_.model.data_preprocessor.blending.blending.augments
_base_.model.cls_head.num_classes = __mixup.num_classes = __cutmix.num_classes = 4

train_dataloader = dict(dataset=dict(ann_file='data/lvu/relation/train.csv'))
val_dataloader = dict(dataset=dict(ann_file='data/lvu/relation/val.csv'))
test_dataloader = dict(dataset=dict(ann_file='data/lvu/relation/test.csv'))
