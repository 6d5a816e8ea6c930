import argparse

import pytest
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmaction_videomambapro.datasets.lists import ListError
from mmaction_videomambapro.engine.console import quiet_console
from mmaction_videomambapro.engine.launch import (
    UsageError,
    check_files,
    check_output,
    hold_work_dir,
    limit_labels,
    load_config,
    run_tool,
)
from mmaction_videomambapro.engine.optimizers import TrainingStopped
from mmaction_videomambapro.evaluation.evaluator import EvaluationError


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


@pytest.mark.parametrize(
    ('loader', 'message'),
    [
        (dict(num_workers=100_000), r'train_dataloader\.num_workers is 100000, expect'),
        (dict(num_workers=-1), 'num_workers is -1'),
        (dict(num_workers=2.5), r'num_workers is 2\.5, expected a whole number'),
        (dict(batch_size=0), 'batch_size is 0, expected a whole number from 1'),
        (dict(batch_size=10**12), 'batch_size is 1000000000000'),
        (dict(sampler=dict(num_samples=10**12)), r'train_dataloader\.sampler\.num_sam'),
    ],
)
def test_impossible_numbers(loader, message):
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


@pytest.mark.parametrize('path', ['file', 'file/below', '/proc/nowhere'])
def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(UsageError, match=f'^the work directory {path} cannot be'):
        hold_work_dir(Config(dict(work_dir=path)))
    with pytest.raises(UsageError, match=r'^--dump .*result\.pkl cannot be written'):
        check_output(f'{path}/result.pkl', '--dump')
    assert (tmp_path / 'file').read_text() == 'mine'


def test_an_output_is_tried_without_a_trace(tmp_path):
    check_output(str(tmp_path / 'new' / 'result.pkl'), '--dump')
    assert not list((tmp_path / 'new').iterdir())


IN_A_WORKER = (
    'Caught UsageError in DataLoader worker process 0.\nTraceback\n  line\n'
    'mine.UsageError: x.mp4: gone\n'
)


@pytest.mark.parametrize(
    ('error', 'code', 'message'),
    [
        (UsageError('set it'), 2, 'error: set it\n'),
        (TrainingStopped('nan'), 1, 'error: nan\n'),
        (EvaluationError('nan'), 1, 'error: nan\n'),
        (OSError(28, 'No space left on device', 'x.pth'), 1, 'x.pth could not be'),
        (PermissionError(13, 'Permission denied', 'x'), 1, 'x: Permission denied\n'),
        (UsageError(IN_A_WORKER), 2, 'error: x.mp4: gone\n'),
    ],
)
def test_the_end_of_a_tool_is_one_line(capsys, error, code, message):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        run_tool(main)
    assert end.value.code == code
    text = capsys.readouterr().err
    assert message in text
    assert text.count('\n') == 1


def test_the_console_leaves_pages_to_the_log_file(tmp_path, capsys):
    quiet_console()
    path = tmp_path / 'log.txt'
    logger = MMLogger('quiet', log_file=str(path))
    logger.info('Config:\na = 1\nb = 2')
    logger.info('Hooks will be executed in the following order:\nmany')
    logger.info('Epoch(train) [1][1/2]  loss: 0.7')
    logger.warning('of note')
    shown = capsys.readouterr().out
    assert 'loss: 0.7' in shown
    assert 'of note' in shown
    assert 'Config' not in shown
    assert 'Hooks' not in shown
    assert {'a = 1', 'b = 2', 'many'} <= set(path.read_text().splitlines())


@pytest.fixture(autouse=True)
def machine_as_before(monkeypatch):
    """Changes that a tool makes for its own process."""
    monkeypatch.setattr(MMLogger, '__init__', MMLogger.__init__)
    monkeypatch.setattr('logging.raiseExceptions', True)
    monkeypatch.setattr(
        'mmaction_videomambapro.engine.launch.keep_freed_memory', lambda: None
    )
