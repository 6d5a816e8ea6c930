# VideoMamba-S on UCF101 with the fine-tuning settings that VideoMAE published for
# UCF101 (scripts/ucf101); VideoMamba and VideoMambaPro published none.
# Override with --cfg-options: optim_wrapper.optimizer.lr, train_cfg.max_epochs,
#   load_from, {train,val,test}_dataloader.{batch_size,num_workers},
#   {train,val,test}_dataloader.dataset.{ann_file,data_prefix.video}
_base_ = [
    '../../_base_/models/videomamba.py',
    '../../_base_/datasets/ucf101_16x4x1.py',
    '../../_base_/schedules/videomamba.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='small', num_frames=16, drop_path_rate=0.2),
    cls_head=dict(num_classes=101, in_channels=384, dropout_ratio=0.5),
)
for __blending in _base_.model.data_preprocessor.blending.blending.augments:
    __blending.num_classes = 101
load_from = (
    'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'
    'videomamba_s16_in1k_res224.pth'
)

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=100)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(layer_decay=0.7, stem_only=False, decay_states=False),
)
_base_.param_scheduler[0].start_factor = 2e-5
_base_.param_scheduler[1].eta_min_ratio = 0.02
