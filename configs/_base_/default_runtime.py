# MMAction2's default runtime, and what it leaves out: pictures for --show-dir, a list
# of broken files, and random numbers that a resumed run shares with an uninterrupted
# one.
custom_imports = dict(imports=['mmaction_videomambapro'], allow_failed_imports=False)
default_scope = 'mmaction'

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', interval=1, save_best='auto', max_keep_ckpts=3
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'),
    visualization=dict(type='VisualizationHook'),
)
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='BrokenFilesHook'),
    dict(type='FiniteLossHook'),
]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

# MMEngine's pattern, and the accuracy of training, of which it logs the last batch's
log_processor = dict(
    type='LogProcessor',
    window_size=20,
    by_epoch=True,
    mean_pattern=r'.*(loss|time|grad_norm|top\d_acc$).*',
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='ActionVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
