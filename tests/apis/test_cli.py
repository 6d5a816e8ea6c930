import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmaction_videomambapro.apis.cli import check_output, load_config, run_tool
from mmaction_videomambapro.apis.train import hold_work_dir
from mmaction_videomambapro.engine.console import quiet_console
from mmaction_videomambapro.engine.optimizers.guarded import TrainingStopped
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.evaluation.evaluator import EvaluationError

pytestmark = pytest.mark.base


def test_work_dir_comes_from_argument_config_or_name(tmp_path):
    config = tmp_path / 'some-config.py'
    config.write_text('a = 1')
    assert load_config(config).work_dir == 'work_dirs/some-config'
    assert load_config(config, work_dir='here').work_dir == 'here'
    config.write_text("work_dir = 'there'")
    assert load_config(config).work_dir == 'there'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'does not exist'),
        ('a = (', 'cannot be read'),
        ("_base_ = './nowhere.py'", 'cannot be read.*nowhere'),
        ("_base_ = 'nopackage::x.py'", 'cannot be read'),
    ],
)
def test_wrong_config_is_one_sentence(tmp_path, content, message):
    config = tmp_path / 'config.py'
    if content is not None:
        config.write_text(content)
    with pytest.raises(UsageError, match=message) as error:
        load_config(config)
    assert '\n' not in str(error.value)


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
        (PermissionError(13, 'Permission denied', 'x'), 2, 'x: Permission denied\n'),
        (OSError('no encoder'), 1, 'error: no encoder\n'),
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
    """What a tool changes for its process alone."""
    monkeypatch.setattr(MMLogger, '__init__', MMLogger.__init__)
    monkeypatch.setattr('logging.raiseExceptions', True)
    monkeypatch.setattr(
        'mmaction_videomambapro.apis.cli.keep_freed_memory', lambda: None
    )
