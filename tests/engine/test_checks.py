"""Settings that conflict are refused in one sentence before training begins."""

from types import SimpleNamespace

import pytest
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmaction_videomambapro.datasets.lists import ListError
from mmaction_videomambapro.engine.checks import (
    check_batches,
    check_blending,
    check_files,
    limit_labels,
)
from mmaction_videomambapro.errors import UsageError
from tests.conftest import DEMO_CONFIG, ROOT


def model(classes, *mixed):
    blending = dict(
        type='RandomBatchAugment',
        augments=[dict(type='MixupBlending', num_classes=n) for n in mixed],
    )
    return Config(
        dict(
            model=dict(
                data_preprocessor=dict(blending=blending),
                cls_head=dict(num_classes=classes),
            )
        )
    )


def test_blending_of_other_classes():
    check_blending(model(8, 8, 8))
    check_blending(Config.fromfile(ROOT / DEMO_CONFIG))
    check_blending(Config(dict(model=dict(type='VideoJEPA'))))
    with pytest.raises(UsageError) as error:
        check_blending(model(8, 400, 8, 7))
    first, last = (
        f'model.data_preprocessor.blending.augments.{i}.num_classes' for i in (0, 2)
    )
    assert str(error.value).startswith(f'{first} is 400, but model.cls_head.num_class')
    assert str(error.value).endswith(f'--cfg-options {first}=8 {last}=8')


@pytest.mark.parametrize(('number', 'drop_last'), [(3, True), (4, True), (3, False)])
def test_an_epoch_without_a_batch(number, drop_last):
    loader = DataLoader(range(number), batch_size=4, drop_last=drop_last)
    runner = SimpleNamespace(train_loop=SimpleNamespace(dataloader=loader))
    if number == 3 and drop_last:
        with pytest.raises(
            UsageError, match=r'gets 3 samples.*batch_size=4.*drop_last'
        ):
            check_batches(runner)
    else:
        assert check_batches(runner) is runner


def test_missing_files_are_found_in_wrapped_datasets(tmp_path):
    (tmp_path / 'list.txt').write_text('a.mp4 0\n')
    (tmp_path / 'videos').mkdir()
    dataset = dict(
        type='VideoDataset',
        data_root=str(tmp_path),
        ann_file='list.txt',
        data_prefix=dict(video='videos'),
    )

    def check(dataset):
        wrapped = dict(type='ConcatDataset', datasets=[dataset])
        cfg = dict(train_dataloader=dict(dataset=wrapped))
        check_files(Config(cfg), ('train_dataloader',))

    check(dataset)
    check({**dataset, 'ann_file': 's3://bucket/list.txt'})
    key = r'train_dataloader\.dataset\.datasets\.0'
    with pytest.raises(UsageError, match=rf'other\.txt \({key}\.ann_file\)'):
        check({**dataset, 'ann_file': 'other.txt'})
    with pytest.raises(UsageError, match=rf'frames \({key}\.data_prefix\.img\)'):
        check({**dataset, 'data_prefix': dict(img='frames')})


def test_missing_checkpoint():
    with pytest.raises(UsageError, match=r'checkpoint no\.pth does not exist'):
        check_files(Config(dict(load_from='no.pth')), ())
    check_files(Config(dict(load_from='https://example.org/a.pth')), ())


@pytest.mark.parametrize(
    ('loader', 'message'),
    [
        (dict(num_workers=100_000), r'train_dataloader\.num_workers is 100000, expect'),
        (dict(num_workers=-1), 'num_workers is -1'),
        (dict(num_workers=2.5), r'num_workers is 2\.5, expected an integer'),
        (dict(batch_size=0), 'batch_size is 0, expected an integer from 1'),
        (dict(batch_size=10**12), 'batch_size is 1000000000000'),
        (dict(sampler=dict(num_samples=10**12)), r'train_dataloader\.sampler\.num_sam'),
    ],
)
def test_numbers_that_no_machine_serves(loader, message):
    with pytest.raises(UsageError, match=message):
        check_files(Config(dict(train_dataloader=loader)), ('train_dataloader',))


def test_lists_are_held_against_the_classes_of_the_head(tmp_path):
    (tmp_path / 'list.txt').write_text('a.mp4 0\nb.mp4 3\n')
    dataset = dict(type='VideoClsDataset', ann_file=str(tmp_path / 'list.txt'))
    loader = dict(dataset=dict(type='RepeatDataset', dataset=dataset))
    model = dict(cls_head=dict(num_classes=3))
    cfg = Config(dict(model=model, train_dataloader=loader))
    limit_labels(cfg, ('train_dataloader',))
    with DefaultScope.overwrite_default_scope('mmaction'):
        dataset = {**cfg.train_dataloader.dataset.dataset, 'pipeline': []}
        with pytest.raises(ListError, match=r'list\.txt:2: label 3, .* 3 classes'):
            DATASETS.build(dataset)
    stock = dict(dataset=dict(type='VideoDataset', ann_file='a'))
    cfg = Config(dict(model=dict(), train_dataloader=stock, val_dataloader=None))
    limit_labels(cfg, ('train_dataloader', 'val_dataloader'))
    assert 'num_classes' not in cfg.train_dataloader.dataset
