# VideoMamba-Ti on ImageNet-1K, 576 x 576, as published, with
# the AutoAugment of its script; its paper says RandAugment (7, 0.25).
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.img}
_base_ = 'videomamba-tiny-p16-res448_in1k-res224-pre_8xb256-30e_in1k.py'

model = dict(backbone=dict(img_size=576))
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_t16_in1k_res224to448.pth'
)

_base_.train_pipeline[3].scale = (576, 576)
_base_.test_pipeline[2].scale = (-1, 658)
_base_.test_pipeline[3].crop_size = 576
val_pipeline = _base_.test_pipeline
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

train_cfg = dict(max_epochs=10)
_base_.param_scheduler[0].start_factor = 0.1
_base_.param_scheduler[1].eta_min_ratio = 0.5
_base_.param_scheduler[0].end = 2
_base_.param_scheduler[1].begin = 2
