"""Machine code is taken from the cache only if this user's package has put it there."""

import ctypes
import errno
import hashlib
import os
import resource
import stat

import pytest

pytest.importorskip('llvmlite')

from mmaction_videomambapro.ops.cpu import code_cache, compiler
from mmaction_videomambapro.ops.cpu.lanes import LANES, Kernel

NUMBERS = 1.0, 2.0


def kernel_of(number):
    """A kernel that writes a number to the address that it is given."""
    kernel = Kernel('number', ('place',))
    kernel.store(kernel.place, kernel.lanes(number))
    return kernel


@pytest.fixture
def run(monkeypatch):
    """Runs a kernel as a new process would; returns its result and if it compiled."""
    compiled, alive = [], []
    compile_ = compiler.Compiler._compile

    def counted(self, source):
        compiled.append(source)
        return compile_(self, source)

    monkeypatch.setattr(compiler.Compiler, '_compile', counted)

    def run(number):
        before = len(compiled)
        alive.append(compiler.Compiler())
        address = alive[-1].compile(kernel_of(number))
        out = (ctypes.c_float * LANES)()
        params = (ctypes.c_int64 * 1)(ctypes.addressof(out))
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(ctypes.addressof(params))
        return out[0], len(compiled) > before

    return run


@pytest.fixture
def said(monkeypatch):
    """What is logged."""
    texts = []
    monkeypatch.setattr(compiler, 'print_log', lambda text, *_: texts.append(text))
    compiler._announce.cache_clear()
    return texts


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home' / 'cache'))
    return tmp_path / 'home' / 'cache' / 'mmaction_videomambapro' / 'kernels'


@pytest.fixture
def kept(folder, run):
    """Files of two kernels in the cache."""
    files = []
    for number in NUMBERS:
        assert run(number) == (number, True)
        (file,) = set(folder.glob('number-*.o')) - set(files)
        files.append(file)
    return files


@pytest.mark.parametrize('umask', [0o000, 0o002, 0o022, 0o077])
def test_everything_is_private(umask, folder, run):
    before = os.umask(umask)
    try:
        assert run(1.0) == (1.0, True)
    finally:
        os.umask(before)
    assert run(1.0) == (1.0, False)
    for level in (folder, *folder.parents[:3]):
        assert stat.S_IMODE(level.stat().st_mode) == 0o700, level
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def swap(first, second):
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)


def link(first, second):
    first.unlink()
    first.symlink_to(second)


def checksum_of_other_code(first, second):
    code = second.read_bytes()[32:]
    first.write_bytes(hashlib.sha256(code).digest() + code)


def flip(first, second):
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)


def replace_by(make):
    def damage(first, second):
        first.unlink()
        make(first)

    return damage


DAMAGE = {
    'empty': lambda first, second: first.write_bytes(b''),
    'half': lambda first, second: first.write_bytes(first.read_bytes()[:100]),
    'longer': lambda first, second: first.write_bytes(first.read_bytes() + b'\0'),
    'too large': lambda first, second: os.truncate(first, 1 << 40),
    'one bit': flip,
    'swapped': swap,
    'right checksum': checksum_of_other_code,
    'link to another': link,
    'link to nothing': replace_by(lambda file: file.symlink_to('nothing')),
    'fifo': replace_by(os.mkfifo),
    'others can write': lambda first, second: first.chmod(0o606),
    'secret lost': lambda first, second: (first.parent / 'secret').unlink(),
    'secret damaged': lambda first, second: (first.parent / 'secret').write_bytes(b''),
    'secret exchanged': lambda first, second: (first.parent / 'secret').write_bytes(
        b'0' * 32
    ),
    'secret a fifo': lambda first, second: replace_by(os.mkfifo)(
        first.parent / 'secret', None
    ),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_other_files_are_replaced(damage, kept, run):
    first, second = kept
    DAMAGE[damage](first, second)
    assert run(1.0) == (1.0, True)
    assert run(2.0)[0] == 2.0
    assert stat.S_ISREG(first.lstat().st_mode)
    assert run(1.0) == (1.0, False)
    assert run(2.0) == (2.0, False)


def others_write(folder):
    folder.chmod(0o777)


def group_writes_above(folder):
    folder.parent.chmod(0o770)


def led_by_a_link(folder):
    folder.rename(folder.parent / 'elsewhere')
    folder.symlink_to('elsewhere')


def led_by_a_link_above(folder):
    folder.parent.rename(folder.parents[1] / 'elsewhere')
    folder.parent.symlink_to('elsewhere')


@pytest.mark.parametrize(
    'change', [others_write, group_writes_above, led_by_a_link, led_by_a_link_above]
)
def test_folders_of_others_are_left_alone(change, kept, folder, run, said):
    content = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    change(folder)
    assert run(1.0) == (1.0, True)
    assert f'Compiled kernels are not kept in {folder}: ' in said[-1]
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == content


def test_files_of_another_user(kept, run, monkeypatch, said):
    uid = os.geteuid()
    monkeypatch.setattr(os, 'geteuid', lambda: uid + 1)
    assert run(1.0) == (1.0, True)
    assert 'belongs to another user' in said[-1]


def test_full_disk(folder, run, said):
    run(1.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        assert run(2.0) == (2.0, True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.strerror(errno.EFBIG) in said[-1]
    assert len(list(folder.iterdir())) == 2  # the first kernel and the secret


def test_no_home(run, monkeypatch, said):
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setattr(os.path, 'expanduser', lambda path: path)
    assert run(1.0) == (1.0, True)
    assert 'set XDG_CACHE_HOME' in said[-1]


def test_relative_home_is_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('XDG_CACHE_HOME', 'cache')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    assert code_cache.cache_folder().startswith(f'{tmp_path}/home/.cache/')
