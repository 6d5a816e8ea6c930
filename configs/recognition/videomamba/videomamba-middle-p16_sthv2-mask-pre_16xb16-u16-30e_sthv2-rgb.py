# VideoMamba-M on Something-Something V2, 16 frames of 224 x 224, as published; but
# the published script passes --finetune twice, the second time an unset variable.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   load_from, {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video}
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/sthv2_u8.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch='middle',
        num_frames=16,
        drop_path_rate=0.4,
    ),
    cls_head=dict(num_classes=174, in_channels=576),
)
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 174
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_ssv2_mask_pt_f8_res224.pth'
)

for __pipeline in (
    _base_.train_pipeline,
    _base_.val_pipeline,
    _base_.test_pipeline,
):
    __pipeline[1].clip_len = 16
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

train_cfg = dict(max_epochs=30)
optim_wrapper = dict(optimizer=dict(lr=0.0001), paramwise_cfg=dict(layer_decay=0.8))
_base_.param_scheduler[0].start_factor = 0.01
_base_.param_scheduler[1].eta_min_ratio = 0.01
