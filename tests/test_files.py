import os
import resource
import signal
import stat
import subprocess
import sys
import threading

import pytest

from mmaction_videomambapro import files
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.files import making_folder, refuse_same, replacing

pytestmark = pytest.mark.base


def write(path, text='new\n'):
    with replacing(path) as file:
        file.write(text)


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / 'folder' / 'file.txt'
    write(path, 'whole\n')
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines(['ha', None])
    assert path.read_text() == 'whole\n'
    assert os.listdir(path.parent) == ['file.txt']


def test_bytes_under_a_relative_name_with_usual_rights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with replacing('file.bin', 'wb') as file:
        file.write(b'\0')
    (tmp_path / 'usual').touch()
    assert (tmp_path / 'file.bin').read_bytes() == b'\0'
    usual, made = (os.stat(x).st_mode for x in ('usual', 'file.bin'))
    assert stat.S_IMODE(usual) == stat.S_IMODE(made)


def test_it_can_be_read_before_it_appears(tmp_path):
    with replacing(tmp_path / 'a.py') as file:
        file.write('x = 1\n')
        file.flush()
        assert file.name.endswith('.py')
        with open(file.name) as written:
            assert written.read() == 'x = 1\n'
        assert not (tmp_path / 'a.py').exists()


def test_links_are_followed_and_rights_kept(tmp_path):
    (tmp_path / 'there').mkdir()
    target, link = tmp_path / 'there' / 'file', tmp_path / 'link'
    target.write_text('old')
    target.chmod(0o640)
    (tmp_path / 'second').symlink_to('there/file')
    link.symlink_to(tmp_path / 'second')
    write(link)
    assert link.is_symlink()
    assert target.read_text() == 'new\n'
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    (tmp_path / 'dangling').symlink_to('there/not yet')
    write(tmp_path / 'dangling')
    assert (tmp_path / 'there/not yet').read_text() == 'new\n'
    (tmp_path / 'round').symlink_to('round')
    with pytest.raises(OSError, match='round'):
        write(tmp_path / 'round')


def test_other_than_regular_files_are_written_to(tmp_path):
    pipe, link = tmp_path / 'pipe', tmp_path / 'null'
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(pipe)
    reader.join()
    assert read == ['new\n']
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    link.symlink_to('/dev/null')
    write(link)
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)
    assert link.is_symlink()
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        write(tmp_path)


def test_standard_output_is_written_to_in_order(tmp_path):
    code = (
        'from mmaction_videomambapro.files import replacing\n'
        "print('before')\n"
        "with replacing('/dev/stdout') as file: file.write('new\\n')\n"
        "print('after')\n"
    )
    with open(tmp_path / 'out', 'w') as out:
        subprocess.run([sys.executable, '-c', code], stdout=out, check=True)
    assert (tmp_path / 'out').read_text() == 'before\nnew\nafter\n'


@pytest.mark.parametrize('name', ['n' * 300, 'file/below'])
def test_errors_name_the_file(tmp_path, name):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=name[:9]) as error:
        write(tmp_path / name)
    assert '.making' not in str(error.value)
    assert os.listdir(tmp_path) == ['file']


def test_a_long_name_is_one(tmp_path):
    write(tmp_path / ('n' * 255))
    assert os.listdir(tmp_path) == ['n' * 255]


@pytest.mark.skipif(os.getuid() == 0, reason='root may write anywhere')
def test_protected_files_and_folders_are(tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'file').chmod(0o444)
    with pytest.raises(PermissionError, match='file'):
        write(tmp_path / 'file')
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError, match='other'):
        write(tmp_path / 'other')
    tmp_path.chmod(0o755)


def test_a_full_disk_is_reported_with_the_file(tmp_path):
    path = tmp_path / 'file'
    write(path, 'old')
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match=rf"too large: '{path}'$"):
            write(path, 'a' * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['file']


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    code = (
        'import sys\n'
        'from mmaction_videomambapro.files import making_folder, replacing\n'
        "with making_folder('dataset') as folder, replacing('list.txt') as file:\n"
        "    open(f'{folder}/video', 'w').close()\n"
        "    file.write('half')\n"
        "    print('there', flush=True)\n"
        '    sys.stdin.read()\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    (tmp_path / '.making-mine').touch()
    write(tmp_path / 'other')
    assert len(os.listdir(tmp_path)) == 4, 'the other process is at work'
    process.send_signal(signal.SIGKILL)
    process.wait()
    write(tmp_path / 'other')
    assert sorted(os.listdir(tmp_path)) == ['.making-mine', 'other']


def test_a_folder_with_left_overs_is_empty(tmp_path):
    assert files.is_empty(tmp_path)
    (tmp_path / f'{files._UNFINISHED}1').touch()
    (tmp_path / f'{files._UNFINISHED}2').mkdir()
    (tmp_path / f'{files._UNFINISHED}2' / 'file').touch()
    assert files.is_empty(tmp_path)
    assert os.listdir(tmp_path) == []
    (tmp_path / '.making-mine').touch()
    assert not files.is_empty(tmp_path)


def test_a_file_taken_for_left_over_is_made_again(tmp_path, monkeypatch):
    lock, taken = files._lock, []

    def too_late(handle, path):
        if not taken:
            taken.append(path)
            os.unlink(path)
        return lock(handle, path)

    monkeypatch.setattr(files, '_lock', too_late)
    write(tmp_path / 'file')
    assert (tmp_path / 'file').read_text() == 'new\n'
    assert taken


def test_a_folder_appears_whole(tmp_path):
    with pytest.raises(ZeroDivisionError), making_folder(tmp_path / 'a/b') as folder:
        write(f'{folder}/file', 1 / 0)
    assert os.listdir(tmp_path / 'a') == []
    with making_folder(tmp_path / 'a/b') as folder:
        write(f'{folder}/file')
        assert not (tmp_path / 'a/b').exists()
    assert os.listdir(tmp_path / 'a/b') == ['file']
    with pytest.raises(OSError, match=r"a/b'$"), making_folder(tmp_path / 'a/b'):
        pass


def test_a_source_is_not_overwritten(tmp_path):
    source = tmp_path / 'source'
    source.touch()
    (tmp_path / 'link').symlink_to(source)
    os.link(source, tmp_path / 'hard')
    refuse_same(source, tmp_path / 'new', tmp_path)
    for name in ('link', 'hard', 'source', '../' + tmp_path.name + '/source'):
        with pytest.raises(UsageError, match='choose another'):
            refuse_same(source, tmp_path / name)
