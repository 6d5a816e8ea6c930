"""Read pickles as values: nothing that a pickle names is imported or called.

A pickle is a program. Here it is first parsed into literals, lists, tuples and notes of
what it would call (:class:`Call`), and only names of a fixed list may occur in notes.
Then values are built from the notes, by small functions that only map data to data.
"""

from __future__ import annotations

import argparse
import math
import pickletools
import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

DEEPEST = 100  # levels of nesting
MOST_BITS = 512  # of an integer
MOST_DIMENSIONS = 64
MEMO_ENTRY = 100  # bytes


class Refused(Exception):
    """A fault of a pickle; the message continues a sentence that begins with "it"."""


class RefusedName(Refused):
    """A pickle refers to a name that no file of its kind needs.

    Attributes:
        name (str): The name, in printable characters.
    """

    def __init__(self, name: str) -> None:
        self.name = ascii(name)[1:-1][:200]
        super().__init__(f'would import or call {self.name}')


class Budget:
    """The memory that the content of a file may take.

    It is ten times the file's size, because a value takes more memory in Python than in
    a pickle, plus a constant for small files. Objects count once per reference, and
    tensors with all their elements, because copying the content takes that much.

    Args:
        file_size (int): Size of the file in bytes.
    """

    def __init__(self, file_size: int) -> None:
        self.left = 10 * file_size + (192 << 20)

    def spend(self, nbytes: int) -> None:
        """Subtract from what is left.

        Raises:
            Refused: If not enough is left.
        """
        self.left -= nbytes
        if self.left < 0:
            raise Refused('would take more than ten times its size in memory')

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give back afterwards what is spent inside the block."""
        before = self.left
        yield
        self.left = before


class Name:
    """A class or function that a pickle refers to; it is never looked up."""

    __slots__ = ('name',)

    def __init__(self, name: str) -> None:
        self.name = name


class Call:
    """A call that a pickle would make, with the items and the state it would set."""

    __slots__ = ('args', 'name', 'pairs', 'state')

    def __init__(self, name: str, args: tuple) -> None:
        self.name = name
        self.args = args
        self.pairs: list | None = None  # an empty list costs memory
        self.state: Any = None


class StorageId(NamedTuple):
    """The persistent id of a tensor's memory in a file of ``torch.save``."""

    dtype: torch.dtype
    key: str
    location: str
    numel: int


class Storage(NamedTuple):
    """A tensor's memory, as bytes, and the type of its elements."""

    data: torch.UntypedStorage
    dtype: torch.dtype


DTYPES = {
    f'torch.{name}': getattr(torch, name)
    for name in (
        *('bool', 'uint8', 'uint16', 'uint32', 'uint64'),
        *('int8', 'int16', 'int32', 'int64'),
        *('float16', 'bfloat16', 'float32', 'float64'),
        *('complex32', 'complex64', 'complex128'),
        *('float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz'),
        'float8_e8m0fnu',
    )
    if hasattr(torch, name)
}

STORAGES = {
    'torch.BoolStorage': torch.bool,
    'torch.ByteStorage': torch.uint8,
    'torch.CharStorage': torch.int8,
    'torch.ShortStorage': torch.int16,
    'torch.IntStorage': torch.int32,
    'torch.LongStorage': torch.int64,
    'torch.HalfStorage': torch.float16,
    'torch.BFloat16Storage': torch.bfloat16,
    'torch.FloatStorage': torch.float32,
    'torch.DoubleStorage': torch.float64,
    'torch.ComplexFloatStorage': torch.complex64,
    'torch.ComplexDoubleStorage': torch.complex128,
    'torch.UntypedStorage': torch.uint8,
    'torch.storage.UntypedStorage': torch.uint8,
}

TENSORS_WITHOUT_USE = {
    'torch._utils._rebuild_sparse_tensor': 'a sparse tensor',
    'torch._utils._rebuild_qtensor': 'a quantised tensor',
    'torch._utils._rebuild_meta_tensor_no_storage': 'a tensor without values (meta)',
    'torch._utils._rebuild_nested_tensor': 'a nested tensor',
    'torch._utils._rebuild_wrapper_subclass': 'a tensor of a subclass',
    'torch._utils._rebuild_device_tensor_from_numpy': "another device's tensor",
    'torch._utils._rebuild_device_tensor_from_cpu_tensor': "another device's tensor",
}

ORDERED_DICT = 'collections.OrderedDict'
HISTORY_BUFFER = 'mmengine.logging.history_buffer.HistoryBuffer'
STATISTICS = 'min', 'max', 'current', 'mean'

# Names that stand for a value
CONSTANTS = {**DTYPES, **{f'{HISTORY_BUFFER}.{name}': name for name in STATISTICS}}


class Parser:
    """Turns one pickle into notes.

    Args:
        builders (dict): Builders by the names that the pickle may contain.
        budget (Budget): Limit on the memory.

    Attributes:
        storages (list[StorageId]): Storages that the pickle refers to, in its order.
        shared (set[int]): Ids of the notes that are referred to more than once.
    """

    def __init__(self, builders: dict[str, Callable], budget: Budget) -> None:
        self.builders = builders
        self.budget = budget
        self.storages: list[StorageId] = []
        self.shared: set[int] = set()
        self.stack: list = []
        self.marked: list[list] = []
        self.memo: dict[int, Any] = {}

    def parse(self, stream: BytesIO) -> Any:
        """Parse up to the end of the pickle.

        Args:
            stream (BytesIO): The file; its position is after the pickle on return.

        Raises:
            Refused: If it is not a pickle, or contains what values do not need.
        """
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == 'STOP':
                    self.budget.spend(-MEMO_ENTRY * len(self.memo))
                    self.memo.clear()
                    return self.stack.pop()
                run = OPERATIONS.get(opcode.name)
                if run is None:
                    raise Refused(f'uses {opcode.name}, which torch.save does not')
                run(self, argument)
        except (ValueError, IndexError, KeyError) as error:
            raise Refused('is damaged, truncated, or of another format') from error

    def push(self, value: Any) -> None:
        self.budget.spend(sys.getsizeof(value) + 16)
        self.stack.append(value)

    def push_constant(self, value: Any) -> None:
        self.budget.spend(16)
        self.stack.append(value)

    def push_again(self, value: Any) -> None:
        if type(value) in (list, tuple, Call):
            self.budget.spend(80)
            self.shared.add(id(value))
        self.push_constant(value)

    def push_integer(self, value: int) -> None:
        if value.bit_length() > MOST_BITS:
            raise Refused(f'contains an integer of more than {MOST_BITS} bits')
        if -5 <= value <= 256:  # Python keeps one object of each
            self.push_constant(value)
        else:
            self.push(value)

    def mark(self, _) -> None:
        self.budget.spend(80)
        self.marked.append(self.stack)
        self.stack = []

    def pop_mark(self, _=None) -> list:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def pop(self, _) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def put(self, index: int | None) -> None:
        index = len(self.memo) if index is None else index
        if index not in self.memo:
            self.budget.spend(MEMO_ENTRY)
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.push_again(self.memo[index])

    def tuple_of(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) < count:
            raise IndexError
        del self.stack[-count:]
        self.push(items)

    def append(self, _) -> None:
        self.extend([self.stack.pop()])

    def extend(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise Refused('appends to something other than a list')
        target.extend(items)

    def add_items(self, _) -> None:
        items = self.pop_mark()
        match self.stack[-1]:
            case Call(name='builtins.set', args=(list(elements),)):
                elements.extend(items)
            case _:
                raise Refused('adds to something other than a set')

    def set_item(self, _) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_pairs([key, value])

    def set_pairs(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) is not Call or target.name not in (
            'builtins.dict',
            ORDERED_DICT,
        ):
            raise Refused('sets items of something other than a dict')
        if len(items) % 2:
            raise IndexError
        self.budget.spend(65 * len(items))
        target.pairs = target.pairs or []
        target.pairs.extend(zip(items[::2], items[1::2]))

    def name(self, module: str, name: str) -> None:
        module = {'__builtin__': 'builtins'}.get(module, module)  # as in Python 2
        full = f'{module}.{name}'
        if full in TENSORS_WITHOUT_USE:
            raise Refused(f'contains {TENSORS_WITHOUT_USE[full]}, not plain ones')
        if full not in self.builders and full not in ONLY_NAMES:
            raise RefusedName(full)
        self.push(Name(full))

    def stack_name(self, _) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise Refused('uses a name that is not a string')
        self.name(module, name)

    def call(self, _) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Name or type(args) is not tuple:
            raise Refused('calls something other than a name')
        name = function.name
        if name == 'torch._tensor._rebuild_from_type_v2':
            name, args = _without_attributes(*args)
        self.push_call(name, args)

    def push_call(self, name: str, args: tuple) -> None:
        self.budget.spend(120)
        self.push(Call(name, args))

    def build(self, _) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is not Call or target.name not in STATES or state is None:
            raise Refused('sets the state of an object without one')
        if target.state is not None:
            raise Refused('sets a state twice')
        target.state = state

    def storage(self, _) -> None:
        match self.stack.pop():
            case ('storage', Name(name=kind), str(key), str(location), numel) | (
                'storage',
                Name(name=kind),
                str(key),
                str(location),
                numel,
                None,
            ) if kind in STORAGES and _is_size(numel):
                found = StorageId(STORAGES[kind], key, location, numel)
            case _:
                raise Refused('refers to something other than the memory of tensors')
        self.storages.append(found)
        self.push(found)


def _without_attributes(function=None, kind=None, args=None, *_):
    """Function and arguments of a tensor saved with attributes, which are dropped."""
    if (
        type(function) is not Name
        or type(kind) is not Name
        or type(args) is not tuple
        or kind.name not in ('torch.Tensor', 'torch.nn.parameter.Parameter')
    ):
        raise Refused('contains a tensor of a subclass, not plain ones')
    return function.name, args


def _operations() -> dict[str, Callable]:
    """The action of each opcode, by its name in pickletools."""
    p = Parser
    found = {
        'PROTO': lambda parser, _: None,
        'FRAME': lambda parser, _: None,
        'NONE': lambda parser, _: parser.push_constant(None),
        'NEWTRUE': lambda parser, _: parser.push_constant(True),
        'NEWFALSE': lambda parser, _: parser.push_constant(False),
        'EMPTY_TUPLE': lambda parser, _: parser.push_constant(()),
        'EMPTY_LIST': lambda parser, _: parser.push([]),
        'EMPTY_DICT': lambda parser, _: parser.push_call('builtins.dict', ()),
        'EMPTY_SET': lambda parser, _: parser.push_call('builtins.set', ([],)),
        'FROZENSET': lambda parser, _: parser.push_call(
            'builtins.frozenset', (parser.pop_mark(),)
        ),
        'MARK': p.mark,
        'POP': p.pop,
        'POP_MARK': p.pop_mark,
        'DUP': lambda parser, _: parser.push_again(parser.stack[-1]),
        'TUPLE': lambda parser, _: parser.push(tuple(parser.pop_mark())),
        'TUPLE1': lambda parser, _: parser.tuple_of(1),
        'TUPLE2': lambda parser, _: parser.tuple_of(2),
        'TUPLE3': lambda parser, _: parser.tuple_of(3),
        'APPEND': p.append,
        'APPENDS': lambda parser, _: parser.extend(parser.pop_mark()),
        'ADDITEMS': p.add_items,
        'SETITEM': p.set_item,
        'SETITEMS': lambda parser, _: parser.set_pairs(parser.pop_mark()),
        'GLOBAL': lambda parser, names: parser.name(*names.split(' ', 1)),
        'STACK_GLOBAL': p.stack_name,
        'REDUCE': p.call,
        'NEWOBJ': p.call,
        'BUILD': p.build,
        'BINPERSID': p.storage,
    }
    for opcode in ('BINPUT', 'LONG_BINPUT', 'MEMOIZE'):
        found[opcode] = p.put
    for opcode in ('BINGET', 'LONG_BINGET'):
        found[opcode] = p.get
    for opcode in ('BININT', 'BININT1', 'BININT2', 'LONG1', 'LONG4'):
        found[opcode] = p.push_integer
    for kind in ('UNICODE', 'BYTES', 'STRING'):
        for opcode in (f'SHORT_BIN{kind}', f'BIN{kind}', f'BIN{kind}8'):
            found[opcode] = p.push
    found['BINFLOAT'] = found['BYTEARRAY8'] = p.push
    return found


OPERATIONS = _operations()


def _no_storage(found: StorageId) -> Storage:
    raise Refused('refers to the memory of a tensor, which it does not have')


class Builder:
    """Builds values from notes.

    Args:
        builders (dict): Functions by name, which map this object and the arguments to
            the value.
        budget (Budget): Limit on the memory.
        shared (set[int]): Ids of shared notes, from :class:`Parser`.
        storage (Callable, optional): Returns the memory of a :class:`StorageId`.
            Defaults to a function that refuses.
    """

    def __init__(
        self,
        builders: dict[str, Callable],
        budget: Budget,
        shared: set[int],
        storage: Callable[[StorageId], Storage] = _no_storage,
    ) -> None:
        self.builders = builders
        self.budget = budget
        self.shared = shared
        self.storage = storage
        self._depth = 0
        self._built: dict[int, tuple[Any, int]] = {}

    def value(self, note: Any) -> Any:
        """Build the value of a note.

        Raises:
            Refused: If any part of it is not a value.
        """
        value = self.argument(note)
        if type(value) in (Name, Storage):
            raise Refused('contains a class, a function or a bare storage')
        return value

    def argument(self, note: Any) -> Any:
        """Build an argument: a value, a class or a tensor's memory."""
        if type(note) is Name:
            return CONSTANTS.get(note.name, note)
        if type(note) is StorageId:
            return self.storage(note)
        if type(note) not in (list, tuple, Call):
            return note
        if id(note) in self._built:
            value, nbytes = self._built[id(note)]
            self.budget.spend(nbytes)
            return value
        if self._depth == DEEPEST:
            raise Refused(
                f'is nested more than {DEEPEST} levels deep, or contains itself'
            )
        self._depth += 1
        before = self.budget.left
        value = self._call(note) if type(note) is Call else self._sequence(note)
        self._depth -= 1
        if id(note) in self.shared:
            self.budget.spend(200)
            self._built[id(note)] = value, before - self.budget.left
        return value

    def key(self, note: Any) -> Any:
        """Build a key of a dict or an element of a set, whose hash must be cheap.

        Hashes of strings are randomised. For other types a file could choose many keys
        with the same hash.
        """
        value = self.value(note)
        if type(value) is tuple and len(value) <= 8:
            self.budget.spend(1 << 14)
            simple = all(map(_is_key, value))
        else:
            simple = _is_key(value)
        if not simple:
            raise Refused(f'has a key that is a {type(value).__name__}')
        return value

    def _sequence(self, notes: list | tuple) -> list | tuple:
        self.budget.spend(sys.getsizeof(notes))
        return type(notes)([self.value(note) for note in notes])

    def _call(self, call: Call) -> Any:
        builder = self.builders.get(call.name)
        if builder is None:
            raise Refused(f'calls {call.name}')
        args = [self.argument(note) for note in call.args]
        try:
            value = builder(self, *args)
            self.budget.spend(sys.getsizeof(value))
            if call.state is not None:
                value = STATES[call.name](self, value, self.value(call.state))
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise Refused(f'has a damaged {call.name}') from error
        for key, note in call.pairs or ():
            value[self.key(key)] = self.value(note)
        return value


def _is_key(value: Any) -> bool:
    if type(value) is int:
        return value.bit_length() <= 64
    return value is None or isinstance(value, (str, bytes, bool, float, np.generic))


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _claim(builder: Builder, shape: Any, itemsize: int) -> tuple[int, ...]:
    """Check a shape, and subtract its memory from the budget."""
    if (
        not isinstance(shape, (tuple, list))
        or len(shape) > MOST_DIMENSIONS
        or not all(map(_is_size, shape))
    ):
        raise Refused('has a tensor or an array with an impossible shape')
    builder.budget.spend(math.prod(max(size, 1) for size in shape) * itemsize)
    return tuple(shape)


def _tensor(
    builder, storage, offset, size, stride, requires_grad=False, hooks=None, flags=None
):
    """Build for ``torch._utils._rebuild_tensor_v2``; hooks are dropped."""
    return _tensor_of_type(
        builder, storage, offset, size, stride, requires_grad, hooks, None, flags
    )


def _tensor_of_type(
    builder, storage, offset, size, stride, requires_grad, hooks, dtype, flags=None
):
    """Build for ``torch._utils._rebuild_tensor_v3``."""
    if type(storage) is not Storage:
        raise Refused('has a tensor without memory')
    if flags:
        raise Refused('contains a conjugated or negated view, not plain tensors')
    dtype = storage.dtype if dtype is None else dtype
    if type(dtype) is not torch.dtype:
        raise Refused('has a tensor of an unknown type')
    builder.budget.spend(600)
    size = _claim(builder, size, dtype.itemsize)
    if (
        not isinstance(stride, (tuple, list))
        or len(stride) != len(size)
        or not all(map(_is_size, (offset, *stride)))
    ):
        raise Refused('has a tensor with an impossible layout')
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    used = 0 if 0 in size else last + 1
    if max(used, offset) * dtype.itemsize > storage.data.nbytes():
        raise Refused('has a tensor that is larger than its data')
    tensor = torch.empty(0, dtype=dtype, device=storage.data.device)
    tensor.set_(storage.data, offset, size, tuple(stride))
    return tensor.requires_grad_(_grad(tensor, requires_grad))


def _parameter(builder, data, requires_grad, hooks=None, state=None):
    """Build for ``torch._utils._rebuild_parameter``; attributes are dropped."""
    if type(data) is not torch.Tensor:
        raise Refused('has a parameter that is not a tensor')
    return torch.nn.Parameter(data.detach(), _grad(data, requires_grad))


def _grad(tensor, requires_grad):
    if type(requires_grad) is not bool:
        raise Refused('has a tensor that is damaged')
    if requires_grad and not (tensor.is_floating_point() or tensor.is_complex()):
        raise Refused(f'has a tensor of {tensor.dtype} with a gradient')
    return requires_grad


def _size(builder, sizes=()):
    return torch.Size(_claim(builder, sizes, 0))


def _device(builder, kind, index=None):
    if type(kind) is not str or not re.fullmatch(r'[a-z]{1,20}(:\d{1,3})?', kind):
        raise Refused('names an impossible device')
    return torch.device(kind) if index is None else torch.device(kind, index)


def _bytes(builder, text, encoding):
    """Build for ``_codecs.encode``, with which bytes are pickled as text."""
    if type(text) is not str or encoding not in ('latin1', 'latin-1'):
        raise Refused('encodes something other than bytes')
    builder.budget.spend(len(text))
    return text.encode('latin1')


def _bytearray(builder, data=b'', encoding='latin-1'):
    data = _bytes(builder, data, encoding) if type(data) is str else data
    if type(data) is not bytes:
        raise Refused('has a damaged bytearray')
    return bytearray(data)


def _ordered_dict_state(builder, value, state):
    """Set the versions of modules, which torch saves with the weights."""
    metadata = state.get('_metadata') if type(state) is dict else None
    if (
        list(state) != ['_metadata']
        or not isinstance(metadata, dict)
        or not all(isinstance(k, str) and type(v) is dict for k, v in metadata.items())
    ):
        raise Refused('has an OrderedDict with attributes')
    value._metadata = metadata
    return value


def _counter(builder, counts):
    if type(counts) is not dict:
        raise Refused('has a damaged Counter')
    return Counter(counts)


def _set(builder, items=()):
    return {builder.key(item) for item in items}


def _complex(builder, real, imaginary):
    if type(real) is not float or type(imaginary) is not float:
        raise Refused('has a damaged complex number')
    return complex(real, imaginary)


def _namespace_state(builder, value, state):
    if type(state) is not dict or not all(
        type(name) is str and not name.startswith('__') for name in state
    ):
        raise Refused('has a Namespace with names that are not arguments')
    return argparse.Namespace(**state)


PLAIN_DTYPES = {
    np.dtype(kind).str[1:]: np.dtype(kind)
    for kind in ('?', *np.typecodes['AllInteger'], *'efdFD')
}


def _dtype(builder, kind, align=False, copy=True):
    """A dtype of numbers or booleans; objects would be memory addresses."""
    if type(kind) is not str or kind not in PLAIN_DTYPES:
        raise Refused('has an array that is not of plain numbers')
    return PLAIN_DTYPES[kind]


def _dtype_state(builder, value, state):
    if (
        type(state) is not tuple
        or len(state) < 8
        or state[1] not in ('<', '>', '|', '=')
        or state[2:5] != (None, None, None)
        or any(state[8:])
    ):
        raise Refused('has an array that is not of plain numbers')
    return value.newbyteorder(state[1])


def _scalar(builder, dtype, data):
    return _array_of(builder, (), dtype, 'C', data)[()]


def _array(builder, kind, shape, code):
    """Build for ``numpy._core.multiarray._reconstruct``; the state has the content."""
    if type(kind) is not Name or kind.name != 'numpy.ndarray':
        raise Refused('has an array of a subclass')
    return np.empty(0, np.int8)


def _array_state(builder, value, state):
    _, shape, dtype, fortran_order, data = state
    return _array_of(builder, shape, dtype, 'F' if fortran_order else 'C', data)


def _array_from_buffer(builder, data, dtype, shape, order):
    if order not in ('C', 'F'):
        raise Refused('has a damaged array')
    return _array_of(builder, shape, dtype, order, data)


def _array_of(builder, shape, dtype, order, data):
    if not isinstance(dtype, np.dtype):
        raise Refused('has an array without a type')
    shape = _claim(builder, shape, dtype.itemsize)
    if (
        not isinstance(data, (bytes, bytearray))
        or len(data) != math.prod(shape) * dtype.itemsize
        or len(shape) > 32
    ):
        raise Refused('has an array whose size differs from that of its data')
    array = np.ndarray(shape, dtype, bytearray(data), order=order)
    return array.astype(dtype.newbyteorder('='), copy=False)


def _statistics_method(builder, owner, name):
    """The method name in the ``getattr`` with which HistoryBuffers are pickled."""
    if type(owner) is not Name or owner.name != HISTORY_BUFFER:
        raise RefusedName('builtins.getattr')
    if name not in STATISTICS:
        raise RefusedName(f'builtins.getattr({name})')
    return name


def _history_buffer_state(builder, value, state):
    """Set only the histories; the class keeps its own methods."""
    if type(state) is not dict:
        raise Refused('has a damaged HistoryBuffer')
    log, count = state.get('_log_history'), state.get('_count_history')
    length = state.get('max_length')
    if (
        not all(type(h) is np.ndarray and h.dtype.kind in 'iuf' for h in (log, count))
        or log.ndim != 1
        or log.shape != count.shape
        or not _is_size(length)
        or length < max(len(log), 1)
    ):
        raise Refused('has a damaged HistoryBuffer')
    return HistoryBuffer(log, count, length)


# Names that may only be arguments of calls
ONLY_NAMES = {
    *CONSTANTS,
    *STORAGES,
    'numpy.ndarray',
    'torch.Tensor',
    'torch.nn.parameter.Parameter',
    'torch._tensor._rebuild_from_type_v2',
}

# Everything that a checkpoint may contain, with the function that builds it
BUILDERS: dict[str, Callable] = {
    'builtins.dict': lambda builder: {},
    'builtins.set': _set,
    'builtins.frozenset': lambda builder, items=(): frozenset(_set(builder, items)),
    'builtins.complex': _complex,
    'builtins.bytearray': _bytearray,
    'builtins.getattr': _statistics_method,
    '_codecs.encode': _bytes,
    ORDERED_DICT: lambda builder, pairs=(): OrderedDict(
        (builder.key(key), value) for key, value in pairs
    ),
    'collections.Counter': _counter,
    'argparse.Namespace': lambda builder: argparse.Namespace(),
    'torch.Size': _size,
    'torch.device': _device,
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor,
    'torch._utils._rebuild_tensor_v3': _tensor_of_type,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter,
    'numpy.dtype': _dtype,
    HISTORY_BUFFER: lambda builder: HistoryBuffer(),
}
for _package in ('numpy.core', 'numpy._core'):
    BUILDERS[f'{_package}.multiarray.scalar'] = _scalar
    BUILDERS[f'{_package}.multiarray._reconstruct'] = _array
    BUILDERS[f'{_package}.numeric._frombuffer'] = _array_from_buffer

STATES: dict[str, Callable] = {
    ORDERED_DICT: _ordered_dict_state,
    'argparse.Namespace': _namespace_state,
    'numpy.dtype': _dtype_state,
    HISTORY_BUFFER: _history_buffer_state,
    'numpy.core.multiarray._reconstruct': _array_state,
    'numpy._core.multiarray._reconstruct': _array_state,
}
