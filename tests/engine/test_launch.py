import argparse

import pytest
from mmengine.config import Config

from mmaction_videomambapro.engine.launch import UsageError, check_files, load_config


def arguments(config, **more):
    defaults = dict(work_dir=None, cfg_options=None, launcher='none', local_rank=0)
    return argparse.Namespace(config=str(config), **{**defaults, **more})


def test_work_dir_comes_from_argument_config_or_name(tmp_path):
    config = tmp_path / 'some-config.py'
    config.write_text('a = 1')
    assert load_config(arguments(config)).work_dir == 'work_dirs/some-config'
    assert load_config(arguments(config, work_dir='here')).work_dir == 'here'
    config.write_text("work_dir = 'there'")
    assert load_config(arguments(config)).work_dir == 'there'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'does not exist'),
        ('a = (', 'can not be read'),
        ("_base_ = './nowhere.py'", 'can not be read.*nowhere'),
        ("_base_ = 'nopackage::x.py'", 'can not be read'),
    ],
)
def test_wrong_config_is_one_sentence(tmp_path, content, message):
    config = tmp_path / 'config.py'
    if content is not None:
        config.write_text(content)
    with pytest.raises(UsageError, match=message) as error:
        load_config(arguments(config))
    assert '\n' not in str(error.value)


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
