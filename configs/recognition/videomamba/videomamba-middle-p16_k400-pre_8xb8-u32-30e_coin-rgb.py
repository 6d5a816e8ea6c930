# VideoMamba-M on COIN, 32 frames of 224 x 224, as published.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   load_from, {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video}
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/coin_u32.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch='middle',
        num_frames=32,
        drop_path_rate=0.8,
    ),
    cls_head=dict(num_classes=180, in_channels=576),
)
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 180
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_m16_k400_f32_res224.pth'
)

train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=8)

train_cfg = dict(max_epochs=30)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
