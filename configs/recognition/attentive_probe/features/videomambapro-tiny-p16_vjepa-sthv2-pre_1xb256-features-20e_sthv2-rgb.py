# The same probes on features that were written to disk before, without a backbone:
#   python tools/extract_features.py PROBE_CONFIG CHECKPOINT \
#       data/features/sthv2/train --split train
# and so for val and test; PROBE_CONFIG is the base below. Training saves the cost of
# the backbone, but sees each video in one augmented view only: for more, extract with
# other values of --seed, and put the folders into a ConcatDataset. In float16 the
# tokens of a video of 2 clips take 1.2 MB.
_base_ = '../videomambapro-tiny-p16_vjepa-sthv2-pre_8xb32-16x4x2-20e_sthv2-rgb.py'

model = dict(
    backbone=dict(_delete_=True, type='torch.nn.Identity'),
    data_preprocessor=dict(_delete_=True, type='ActionDataPreprocessor'),
)

features = 'data/features/sthv2'
train_dataloader = dict(
    batch_size=256,
    num_workers=4,  # a batch takes 0.6 GB
    dataset=dict(_delete_=True, type='CachedFeatures', ann_file=f'{features}/train'),
)
val_dataloader = dict(
    batch_size=64,
    dataset=dict(
        _delete_=True,
        type='CachedFeatures',
        ann_file=f'{features}/val',
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=16,
    dataset=dict(
        _delete_=True,
        type='CachedFeatures',
        ann_file=f'{features}/test',
        test_mode=True,
    ),
)
