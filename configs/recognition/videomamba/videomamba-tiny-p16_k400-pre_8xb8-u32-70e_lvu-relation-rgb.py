# VideoMamba-Ti on LVU (relationships), 32 frames of 224 x 224, as published.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   load_from, {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video}
_base_ = 'videomamba-tiny-p16_k400-pre_8xb8-u32-70e_lvu-director-rgb.py'

model = dict(cls_head=dict(num_classes=4))
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 4

train_dataloader = dict(dataset=dict(ann_file='data/lvu/relation/train.csv'))
val_dataloader = dict(dataset=dict(ann_file='data/lvu/relation/val.csv'))
test_dataloader = dict(dataset=dict(ann_file='data/lvu/relation/test.csv'))
