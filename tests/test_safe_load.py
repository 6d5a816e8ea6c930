import io
import os
import pickle
import struct
import sys
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmaction_videomambapro.safe_load import (
    CheckpointError,
    UnsafeCheckpointError,
    safe_load,
)
from tests.fuzz import pickles
from tests.fuzz.pickles import (
    call,
    items,
    mapping,
    name,
    storage,
    tensor,
    text,
    with_state,
    write_checkpoint,
)


class Attack:
    """An object that writes a file when it is unpickled."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.system, (f'touch {self.victim}',)


@pytest.fixture
def malicious(tmp_path):
    file, victim = tmp_path / 'malicious.pth', tmp_path / 'victim'
    torch.save(dict(state_dict={}, extra=Attack(victim)), file)
    return file, victim


@pytest.mark.parametrize('unsafe_by_environment', [False, True])
def test_malicious_checkpoint_is_refused(malicious, monkeypatch, unsafe_by_environment):
    file, victim = malicious
    if unsafe_by_environment:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    for load in (
        lambda: safe_load(file),
        lambda: safe_load(str(file), weights_only=False),
        lambda: safe_load(io.BytesIO(file.read_bytes())),
        lambda: CheckpointLoader.load_checkpoint(str(file)),
        lambda: load_checkpoint(torch.nn.Linear(1, 1), str(file)),
    ):
        with pytest.raises(UnsafeCheckpointError) as error:
            load()
        message = str(error.value)
        assert str(file) in message or 'BytesIO' in message
        assert 'system' in message
        assert 'source you trust' in message
        assert '\n' not in message
    assert not victim.exists()


def test_url_is_loaded_safely(malicious, monkeypatch, tmp_path):
    file, victim = malicious
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UnsafeCheckpointError, match='system'):
        CheckpointLoader.load_checkpoint(_as_url(file, monkeypatch))
    assert not victim.exists()


def _as_url(file, monkeypatch):
    url = 'https://example.org/malicious.pth'

    def download(url, destination, *args, **kwargs):
        with open(destination, 'wb') as out:
            out.write(file.read_bytes())

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    return url


def test_bare_pickle_is_refused(tmp_path):
    file, victim = tmp_path / 'bare.pkl', tmp_path / 'victim'
    file.write_bytes(pickle.dumps(Attack(victim)))
    with pytest.raises(CheckpointError, match=r'bare\.pkl'):
        safe_load(file)
    assert not victim.exists()


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04half'])
def test_damaged_file_is_named(tmp_path, content):
    file = tmp_path / 'damaged.pth'
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'damaged\.pth'):
        safe_load(file)


@pytest.mark.parametrize('length', [2_000, 20_000])
def test_truncated_checkpoint_is_named(tmp_path, length):
    file = tmp_path / 'short.pth'
    torch.save({str(i): torch.randn(30) for i in range(100)}, file)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r'short\.pth'):
        safe_load(file)


def test_what_mmengine_saves_is_loaded(tmp_path):
    log = HistoryBuffer([0.5, 0.25], [1, 1])
    content = dict(
        meta=dict(epoch=3, time='2026', cfg='a = 1', seed=0),
        args=Namespace(lr=1e-3, model='videomamba_tiny'),  # of published files
        state_dict=dict(weight=torch.randn(3).bfloat16()),
        param_schedulers=[dict(milestones=Counter([3, 5]))],
        message_hub=dict(
            log_scalars={'train/loss': log},
            runtime_info=dict(iter=4, best=np.float64(0.5), n=np.int64(3)),
            resumed_keys={'train/loss': True},
        ),
        arrays=[np.arange(3), np.ones(2, np.float32), np.array([True])],
    )
    torch.save(content, tmp_path / 'good.pth')
    loaded = safe_load(tmp_path / 'good.pth')
    assert loaded['meta'] == content['meta']
    assert loaded['args'] == content['args']
    assert loaded['param_schedulers'] == content['param_schedulers']
    assert (
        loaded['message_hub']['runtime_info'] == content['message_hub']['runtime_info']
    )
    assert loaded['message_hub']['log_scalars']['train/loss'].mean() == log.mean()
    torch.testing.assert_close(loaded['state_dict'], content['state_dict'])
    for x, y in zip(loaded['arrays'], content['arrays']):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype


TYPES = [
    *(torch.bool, torch.uint8, torch.uint16, torch.int64, torch.float16),
    *(torch.bfloat16, torch.float64, torch.complex64, torch.float8_e4m3fn),
]


@pytest.mark.parametrize(
    'options',
    [{}, dict(pickle_protocol=4), dict(_use_new_zipfile_serialization=False)],
    ids=['zip', 'protocol 4', 'legacy'],
)
def test_what_torch_saves_is_loaded(tmp_path, options):
    """As torch.load does, including views and shared memory."""
    base = torch.arange(24.0)
    tied = torch.nn.Parameter(torch.randn(3))
    state = torch.nn.BatchNorm1d(2).state_dict()
    marked = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    marked._no_weight_decay = True
    content = dict(
        types=[torch.arange(6).to(kind) for kind in TYPES],
        views=[base[2:8].view(2, 3).t(), base[20:], base.expand(2, 24), base[:0]],
        tied=[tied, tied],
        state=state,
        marked=marked,
        sizes=torch.Size([2, 3]),
        names={0.5, 'a', 3, None},
        kinds=[torch.float16],
        others=[2**100, -1, 1.5, 1j, b'\xff', bytearray(b'x'), torch.device('cuda:1')],
    )
    torch.save(content, tmp_path / 'file.pth', **options)
    loaded = safe_load(tmp_path / 'file.pth')
    assert loaded['state']._metadata == state._metadata
    assert isinstance(loaded['state'], OrderedDict)
    assert loaded['tied'][0] is loaded['tied'][1]
    views = loaded['views']
    assert (
        views[0].untyped_storage().data_ptr() == views[1].untyped_storage().data_ptr()
    )
    for key in ('sizes', 'names', 'kinds', 'others'):
        assert loaded[key] == content[key]
    for key in ('types', 'views', 'tied'):
        for x, y in zip(loaded[key], content[key], strict=True):
            assert (type(x), x.dtype, x.requires_grad) == (
                type(y),
                y.dtype,
                y.requires_grad,
            )
            assert x.stride() == y.stride()
            assert torch.equal(x.to(torch.complex128), y.to(torch.complex128))
    assert torch.equal(loaded['marked'], marked)


def test_numbers_of_another_byte_order(tmp_path):
    value = mapping(('a', tensor(storage(), (4,), (1,))))
    write_checkpoint(
        tmp_path / 'file.pth', value, _0=np.arange(4, dtype='>f4').tobytes()
    )
    with zipfile.ZipFile(tmp_path / 'file.pth') as old:
        records = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(tmp_path / 'file.pth', 'w') as new:
        for record, data in {**records, 'archive/byteorder': b'big'}.items():
            new.writestr(record, data)
    assert safe_load(tmp_path / 'file.pth')['a'].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    'where',
    [
        *('meta', torch.device('meta'), {'cpu': 'meta'}),
        lambda data, location: torch.UntypedStorage(len(data), device='meta'),
    ],
)
def test_map_location(tmp_path, where):
    torch.save([torch.ones(2), torch.ones(3)], tmp_path / 'file.pth')
    assert {x.device.type for x in safe_load(tmp_path / 'file.pth')} == {'cpu'}
    assert {x.device.type for x in safe_load(tmp_path / 'file.pth', where)} == {'meta'}


def number(kind):
    return pickles.dtype(kind, '|')


FOUR = storage()
REBUILD = 'torch._utils._rebuild_tensor_v2'
EIGHT = b'C\x08' + bytes(8)
ORDERED = call(name('collections.OrderedDict'))
NESTED = b'N' + 100_000 * b'\x85'
LAUGHS = b']' + b''.join(
    b'q' + bytes([i]) + b'0](' + 10 * (b'h' + bytes([i])) + b'e' for i in range(40)
)
HOSTILE = {
    'claims 100 GB': tensor(FOUR, (25 << 30,), (0,)),
    'claims 12 GB in 99 parts': b'](' + 99 * tensor(FOUR, (1 << 25,), (0,)) + b'e',
    'beyond its data': tensor(FOUR, (5,), (1,)),
    'before its data': tensor(FOUR, (1,), (1,), -1),
    'far from its data': tensor(FOUR, (1,), (1,), 2**62),
    'of an impossible size': tensor(FOUR, (-1,), (1,)),
    'more than 64 bits': tensor(FOUR, (2**40, 2**40, 0), (0, 0, 0)),
    'storage of 4 TB': tensor(storage(numel=2**40), (4,), (1,)),
    'absent storage': tensor(storage(key='1'), (4,), (1,)),
    'quantised storage': tensor(storage('QInt8'), (4,), (1,)),
    'bare storage': FOUR,
    'class': name('torch.Size'),
    'function': name(REBUILD),
    'array of addresses': pickles.array(number('O8'), (1,), EIGHT),
    'structured array': pickles.array(number('V8'), (1,), EIGHT),
    'array beyond its data': pickles.array(number('f8'), (9,), EIGHT),
    'scalar address': call(name('numpy.core.multiarray.scalar'), number('O8'), EIGHT),
    'codec': call(name('_codecs.encode'), text('x'), text('rot13')),
    'state of a function': with_state(
        name(REBUILD), items(b'N', mapping(('__defaults__', b')')))
    ),
    'state of a class': with_state(
        name(pickles.HISTORY_BUFFER), items(b'N', mapping(('update', b'N')))
    ),
    'Namespace of another class': with_state(
        name('argparse.Namespace') + b')\x81', mapping(('__class__', b'N'))
    ),
    'attributes of a dict': with_state(ORDERED, mapping(('items', b'N'))),
    'metadata of a dict': with_state(
        ORDERED, mapping(('_metadata', mapping(('', b'N'))))
    ),
    'contains itself': b']q\x00h\x00a',
    'nested deeply': NESTED,
    'a key nested deeply': b'}' + NESTED + b'Ns',
    'laughs': LAUGHS,
    'a key that is an array': b'}' + pickles.array(number('f8'), (1,), EIGHT) + b'Ns',
    'an integer of many digits': b'\x8b' + struct.pack('<I', 9999) + 9999 * b'1',
    'a place of the memo far away': b'Nj' + 4 * b'\xff',
    'more values than there are': b'N\x87',
    'an opcode of text': b'I1\n',
    'an old class': b'(i__main__\nx\n',
}


@pytest.mark.parametrize('value', HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_end_in_one_sentence(tmp_path, value):
    file = tmp_path / 'hostile.pth'
    defaults = torch._utils._rebuild_tensor_v2.__defaults__
    write_checkpoint(file, mapping(('a', value)), _0=bytes(16))
    with pytest.raises(CheckpointError, match=r'hostile\.pth') as error:
        safe_load(file)
    assert '\n' not in str(error.value)
    assert not isinstance(error.value.__cause__, MemoryError)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == defaults
    assert 'update' in vars(HistoryBuffer)


def test_a_log_buffer_extends_no_class(tmp_path):
    methods = dict(HistoryBuffer._statistics_methods)
    for names in (('__class__',), ('min', 'extra')):
        state = mapping(('statistics_methods', mapping(*((x, b'N') for x in names))))
        buffer = with_state(name(pickles.HISTORY_BUFFER) + b')\x81', state)
        reached = call(
            name('builtins.getattr'), name(pickles.HISTORY_BUFFER), text(names[-1])
        )
        write_checkpoint(tmp_path / 'log.pth', items(reached, buffer))
        with pytest.raises(UnsafeCheckpointError, match=names[-1]):
            safe_load(tmp_path / 'log.pth')
        write_checkpoint(tmp_path / 'log.pth', items(buffer))
        with pytest.raises(CheckpointError, match='HistoryBuffer'):
            safe_load(tmp_path / 'log.pth')
    assert HistoryBuffer._statistics_methods == methods


@pytest.mark.parametrize(
    ('value', 'reason'),
    [
        (torch.eye(2).to_sparse(), 'a sparse tensor'),
        (torch.eye(2).to_sparse_csr(), 'a sparse tensor'),
        (torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8), 'quantised'),
        (torch.empty(2, device='meta'), 'without values'),
        (torch.view_as_complex(torch.ones(2, 2)).conj(), 'conjugated'),
        (np.array(['a']), 'not of plain numbers'),
        (np.array([None]), 'not of plain numbers'),
        (np.datetime64('2026-01-01'), 'not of plain numbers'),
        (torch.nn.Linear(1, 1), 'would import or call torch.nn'),
        (torch.ones(2).untyped_storage(), 'bare storage'),
        ({(1,) * 9: 0}, 'a key that is a tuple'),
    ],
)
def test_other_content_is_refused(tmp_path, value, reason):
    torch.save(dict(state_dict=dict(weight=value)), tmp_path / 'odd.pth')
    with pytest.raises(CheckpointError, match=rf'odd\.pth .*{reason}'):
        safe_load(tmp_path / 'odd.pth')


def test_compressed_files_are_not_blown_up(tmp_path):
    file = tmp_path / 'file.pth'
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        value = mapping(('a', tensor(FOUR, (4,), (1,))))
        archive.writestr('archive/data.pkl', pickles.pickled(value))
        archive.writestr('archive/data/0', bytes(100_000))
    assert safe_load(file)['a'].tolist() == 4 * [0]
    claimed = file.read_bytes().replace(*map(struct.Struct('<I').pack, (10**5, 10**9)))
    file.write_bytes(claimed)
    with pytest.raises(CheckpointError, match='ten times its size'):
        safe_load(file)


def test_other_than_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / 'pipe.pth')  # opening it would wait for a writer
    (tmp_path / 'folder.pth').mkdir()
    for path in ('pipe.pth', 'folder.pth', 'absent.pth', 'nul\0.pth'):
        with pytest.raises(CheckpointError, match=path[:3]):
            safe_load(tmp_path / path)
    with pytest.raises(CheckpointError, match='not a regular file'):
        safe_load('/dev/zero')


def test_safetensors_are_read_by_their_library(tmp_path, monkeypatch):
    library, of_torch = ModuleType('safetensors'), ModuleType('safetensors.torch')
    library.SafetensorError = type('SafetensorError', (Exception,), {})
    of_torch.load_file = lambda path, device: dict(path=path, device=device)
    for module in (library, of_torch):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    file = tmp_path / 'weights.safetensors'
    file.write_bytes(b'x')
    assert safe_load(file, 'cpu') == dict(path=file, device='cpu')

    def fail(path, device):
        raise library.SafetensorError('HeaderTooSmall')

    of_torch.load_file = fail
    with pytest.raises(CheckpointError, match=r'weights\.safetensors .* damaged'):
        safe_load(file)
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(CheckpointError, match='pip install safetensors'):
        safe_load(file)
