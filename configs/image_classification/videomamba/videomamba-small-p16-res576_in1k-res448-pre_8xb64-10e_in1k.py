# VideoMamba-S on ImageNet-1K, 576 x 576, as published.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.img}
# Its three repetitions of an image in a batch are three views of one.
_base_ = 'videomamba-small-p16-res448_in1k-res224-pre_8xb64-30e_in1k.py'

model = dict(backbone=dict(img_size=576))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224to448.pth'
)

_base_.train_pipeline[2].transforms[1].scale = (576, 576)
_base_.test_pipeline[2].scale = (-1, 658)
_base_.test_pipeline[3].crop_size = 576
val_pipeline = _base_.test_pipeline
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

train_cfg = dict(max_epochs=10)
_base_.param_scheduler[0].end = 2
_base_.param_scheduler[1].begin = 2
