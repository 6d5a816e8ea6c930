"""tools/submit.py as its users call it."""

import pytest

from tests.conftest import DEMO_CONFIG


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'either CONFIG or --batch-launch'),
        (['nowhere.py'], 'nowhere.py does not exist'),
        ([DEMO_CONFIG, '--', '--nonsense'], 'unrecognized arguments: --nonsense'),
        ([DEMO_CONFIG, '--cluster', 'local', '--nodes', '2'], 'only one node'),
    ],
)
def test_wrong_use_is_one_sentence(tool, tmp_path, arguments, message):
    process = tool('submit.py', '--folder', tmp_path, *arguments, check=False)
    assert process.returncode == 2
    *_, last = process.stderr.strip().splitlines()
    assert message in last
    assert 'Traceback' not in process.stderr
    assert not list(tmp_path.iterdir()), 'nothing is submitted'


def test_local_training_that_fails_says_where(tool, tmp_path):
    """The config is right but the videos are missing; the job's log reports this."""
    process = tool(
        'submit.py', DEMO_CONFIG, '--cluster', 'local', '--folder', tmp_path, '--',
        '--work-dir', tmp_path, '--cfg-options', 'data_root=/nowhere',
        'train_dataloader.dataset.ann_file=/nowhere/list.txt', check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert 'log in' in process.stdout
    *_, last = process.stderr.strip().splitlines()
    assert f'the training of {DEMO_CONFIG} failed, see {tmp_path}' in last
    log = next(tmp_path.glob('*_log.err')).read_text()
    assert 'annotation file /nowhere/list.txt' in log
