"""Damaged checkpoints are skipped; none is removed before the next is safe."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.registry import DefaultScope
from mmengine.runner import checkpoint

from mmaction_videomambapro.engine import checkpoints as module
from mmaction_videomambapro.engine.checkpoints import checkpoints, newest_checkpoint
from mmaction_videomambapro.files import _UNFINISHED
from mmaction_videomambapro.safe_load import CheckpointError
from tests.engine.test_resuming import Stop, StopHook, run, weights

pytestmark = pytest.mark.usefixtures('scope')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory with epochs 1 to 4."""
    folder = tmp_path_factory.mktemp('trained')
    with DefaultScope.overwrite_default_scope('mmaction'):
        run(folder, saving=dict(max_keep_ckpts=-1))
    for epoch in range(1, 5):
        os.utime(folder / f'epoch_{epoch}.pth', (epoch, epoch))
    return folder


@pytest.fixture
def work_dir(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / 'run'))


def names(paths):
    return [os.path.basename(path) for path in paths]


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path):
    """Change one byte of a weight."""
    content = bytearray(path.read_bytes())
    weight = torch.load(path, weights_only=False)['state_dict']['net.0.weight']
    content[content.index(weight.numpy().tobytes())] ^= 1
    path.write_bytes(content)


class Touch:
    def __reduce__(self):
        return os.system, ('touch marker',)


DAMAGES = {
    'cut at 99 %': lambda path: cut(path, 0.99),
    'cut in the middle': lambda path: cut(path, 0.5),
    'cut at the start': lambda path: cut(path, 0.001),
    'empty': lambda path: path.write_bytes(b''),
    'zeros': lambda path: path.write_bytes(bytes(path.stat().st_size)),
    'text': lambda path: path.write_text('no checkpoint'),
    'one bit': flip,
    'code': lambda path: path.write_bytes(pickle.dumps(Touch())),
    'code in a checkpoint': lambda path: torch.save({'meta': Touch()}, path),
    'weights only': lambda path: torch.save(dict(state_dict={}, meta={}), path),
    'a list': lambda path: torch.save([1], path),
    'folder': lambda path: (path.unlink(), path.mkdir()),
    'pipe': lambda path: (path.unlink(), os.mkfifo(path)),
    'broken link': lambda path: (path.unlink(), path.symlink_to('nowhere')),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_the_newest_whole_one_is_found(work_dir, damage, monkeypatch, caplog):
    monkeypatch.chdir(work_dir)
    path = work_dir / 'epoch_4.pth'
    DAMAGES[damage](path)
    assert newest_checkpoint(work_dir) == str(work_dir / 'epoch_3.pth')
    assert not (work_dir / 'marker').exists()
    assert checkpoint.find_latest_checkpoint(str(work_dir)) == str(
        work_dir / 'epoch_3.pth'
    )


@pytest.mark.parametrize(
    'content',
    [
        None, b'', b'epoch_4.pth', b'epoch_4.pth\n', b'/elsewhere/run/epoch_4.pth',
        b'work_dirs/run/epoch_4.pth', b'epoch_1.pth', b'nowhere.pth', b'/', b'.', b'..',
        b'\0\xff\xfe' * 99, b'x' * 5000,
    ],
)  # fmt: skip
def test_whatever_last_checkpoint_says(work_dir, content):
    last = work_dir / 'last_checkpoint'
    last.unlink()
    if content is not None:
        last.write_bytes(content)
    assert newest_checkpoint(work_dir) == str(work_dir / 'epoch_4.pth')
    moved = work_dir.rename(work_dir.with_name('moved'))
    assert newest_checkpoint(moved) == str(moved / 'epoch_4.pth')


def test_a_copy_wins_over_what_it_was_copied_from(work_dir, tmp_path):
    (work_dir / 'last_checkpoint').write_text(f'{work_dir}/epoch_4.pth')
    copy = shutil.copytree(work_dir, tmp_path / 'copy')
    assert newest_checkpoint(copy) == f'{copy}/epoch_4.pth'
    # times are lost: the name decides
    for i, epoch in enumerate((4, 2, 1, 3)):
        os.utime(f'{copy}/epoch_{epoch}.pth', (i, i))
    assert names(checkpoints(copy)) == [f'epoch_{k}.pth' for k in (4, 3, 2, 1)]


def test_those_of_an_earlier_run_come_last(work_dir):
    for epoch in (1, 2):
        os.utime(work_dir / f'epoch_{epoch}.pth', (10 + epoch, 10 + epoch))
    (work_dir / 'last_checkpoint').write_text('epoch_2.pth')
    found = names(checkpoints(work_dir))
    assert found == [f'epoch_{k}.pth' for k in (2, 1, 4, 3)]


def test_other_files_are_not_resumed_from(work_dir):
    for name in ('best_acc_epoch_9.pth', 'epoch_4-1a2b3c4d.pth', '.epoch_9.pthxyz',
                 'epoch_9.pth.tmp'):  # fmt: skip
        shutil.copy(work_dir / 'epoch_1.pth', work_dir / name)
    assert names(checkpoints(work_dir)) == [f'epoch_{k}.pth' for k in (4, 3, 2, 1)]


def test_nothing_is_started_over_damaged_ones(work_dir):
    for path in work_dir.glob('*.pth'):
        cut(path, 0.5)
    with pytest.raises(CheckpointError, match='no complete checkpoint'):
        newest_checkpoint(work_dir)
    with pytest.raises(CheckpointError, match='remove them to start again'):
        run(work_dir, resume=True)
    for i, path in enumerate(work_dir.glob('*.pth')):  # weights that someone put there
        torch.save(dict(state_dict={}), path, _use_new_zipfile_serialization=i % 2 == 0)
    assert newest_checkpoint(work_dir) is None


def test_load_from_holds_where_there_is_nothing_to_resume(trained, tmp_path):
    """``resume='auto'``, and what MMAction2's tool makes of ``--resume``."""
    start = str(trained / 'epoch_4.pth')
    expected = torch.load(start, weights_only=False)['state_dict']
    frozen = dict(
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)), param_scheduler=None
    )
    config = tmp_path / 'config.py'
    config.write_text(f'load_from = {start!r}\n')
    from mmengine.config import Config

    cfg = Config.fromfile(config)
    cfg.load_from = None
    for i, options in enumerate([
        dict(resume='auto', load_from=start), dict(resume=True, cfg=cfg)
    ]):  # fmt: skip
        runner = run(tmp_path / str(i), epochs=1, **options, **frozen)
        for key, value in runner.model.state_dict().items():
            assert torch.equal(value, expected[key])
        assert runner.iter == 7
        again = run(tmp_path / str(i), epochs=2, **options, **frozen)
        assert again.iter == 14
    runner = run(tmp_path / 'new', epochs=1, resume='auto', **frozen)
    assert runner.iter == 7


def test_a_test_loads_the_given_checkpoint(trained, tmp_path):
    """With the config that a resumed run saved in its work directory."""
    runner = run(tmp_path, epochs=2, val=True)
    first = weights(runner)
    test = run(
        tmp_path, val=True, resume='auto', load_from=str(trained / 'epoch_2.pth'),
        only_build=True,
    )  # fmt: skip
    test.val()
    expected = torch.load(trained / 'epoch_2.pth', weights_only=False)['state_dict']
    for key, value in test.model.state_dict().items():
        assert torch.equal(value, expected[key])
        assert not torch.equal(value, first[key])


def test_weights_are_not_resumed_from(tmp_path):
    run(tmp_path / 'first')
    content = torch.load(tmp_path / 'first' / 'epoch_4.pth', weights_only=False)
    torch.save(dict(state_dict=content['state_dict']), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match=r'weights\.pth cannot be resumed from'):
        run(tmp_path, resume=True, load_from=str(tmp_path / 'weights.pth'))


@pytest.mark.parametrize('keep', [1, 2])
@pytest.mark.parametrize('save_best', [None, 'acc'])
def test_there_is_always_a_checkpoint(tmp_path, monkeypatch, keep, save_best):
    """Every change of a file leaves the newest checkpoint, or a newer one."""
    seen, names = [], set()

    def watched(function):
        def watch(*args, **kwargs):
            result = function(*args, **kwargs)
            whole = [p for p in tmp_path.glob('epoch_*.pth') if p.stat().st_size]
            seen.append(max((int(p.stem[6:]) for p in whole), default=0))
            if (tmp_path / 'last_checkpoint').exists():
                assert (tmp_path / (tmp_path / 'last_checkpoint').read_text()).exists()
            names.update(path.name for path in tmp_path.glob('best_*'))
            if len(names) > 1 or (names and seen[-1] > 4):
                assert list(tmp_path.glob('best_*')), 'the best is gone'
            return result

        return watch

    for name in ('replace', 'remove', 'unlink', 'open'):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    saving = dict(max_keep_ckpts=keep, save_best=save_best)
    run(tmp_path, epochs=6, val=bool(save_best), saving=saving)
    assert seen == sorted(seen)
    assert seen[-1] == 6
    left = {f'epoch_{k}.pth' for k in range(7 - keep, 7)}
    assert {path.name for path in tmp_path.glob('epoch_*')} == left
    assert len(list(tmp_path.glob('best_*'))) == bool(save_best)
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_6.pth'


def test_a_run_that_died_before_it_removed_is_tidied(tmp_path, monkeypatch):
    def die(*args):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(module, '_remove', die)
        run(tmp_path, StopHook(), saving=dict(max_keep_ckpts=1))
    (tmp_path / f'{_UNFINISHED}1.pth').write_bytes(b'half of one')
    assert (tmp_path / 'epoch_1.pth').exists()
    run(tmp_path, resume=True, saving=dict(max_keep_ckpts=1))
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_4.pth']
    assert not list(tmp_path.glob('.making-*'))


def test_the_best_of_a_moved_folder_is_replaced_there(tmp_path):
    saving = dict(save_best='acc', rule='less', max_keep_ckpts=1)
    run(tmp_path / 'first', epochs=2, val=True, saving=saving)
    shutil.copytree(tmp_path / 'first', tmp_path / 'then')
    run(tmp_path / 'then', epochs=4, val=True, saving=saving, resume=True,
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.5)))  # fmt: skip
    for name in ('first', 'then'):
        assert len(list((tmp_path / name).glob('best_*'))) == 1
        assert len(list((tmp_path / name).glob('epoch_*'))) == 1


def test_another_out_dir(tmp_path):
    saving = dict(out_dir=str(tmp_path / 'out'), max_keep_ckpts=1)
    run(tmp_path / 'run', StopHook(17), saving=saving)
    last = tmp_path / 'run' / 'last_checkpoint'
    assert last.read_text() == str(tmp_path / 'out/run/epoch_2.pth')
    last.unlink()
    assert run(tmp_path / 'run', resume=True, saving=saving).iter == 28
    assert [p.name for p in (tmp_path / 'out/run').iterdir()] == ['epoch_4.pth']


def test_files_of_mmengine_are_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'file.txt'
    backend = get_file_backend(str(path))
    backend.put_text('héllo', str(path), encoding='latin-1')
    assert path.read_bytes() == 'héllo'.encode('latin-1')

    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='no space left'):
        backend.put(b'more', path)
    assert path.read_bytes() == 'héllo'.encode('latin-1')
    assert os.listdir(path.parent) == ['file.txt']
