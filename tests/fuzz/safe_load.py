"""Fuzz the reading of checkpoints and predictions.

``python -m tests.fuzz.safe_load --minutes 20 --seed 1`` prints what came of all inputs.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections import Counter, OrderedDict
from functools import cache
from random import Random

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

import mmaction_videomambapro  # noqa: F401  patches and registers
from mmaction_videomambapro.evaluation.results import (
    ResultError,
    accuracies,
    load_results,
)
from mmaction_videomambapro.safe_load import CheckpointError, safe_load
from mmaction_videomambapro.safe_pickle import BUILDERS, ONLY_NAMES, TENSORS_WITHOUT_USE

from . import pickles
from .harness import Failure, main

CHECKPOINT, RESULT = b'C', b'R'  # first byte of an input: what reads the others

DANGEROUS = [
    *('os.system', 'builtins.eval', 'builtins.exec', 'builtins.type', 'builtins.open'),
    *(
        'torch.load',
        'torch.storage._load_from_bytes',
        'numpy.load',
        'functools.partial',
    ),
    *('copyreg._reconstructor', 'operator.attrgetter', 'types.FunctionType'),
    *(
        'torch.nn.modules.linear.Linear',
        'numpy.ndarray',
        'numpy._core.multiarray.array',
    ),
    *('builtins.getattr', 'builtins.setattr', 'mmengine.config.Config'),
]
INTEGERS = [0, 1, -1, 3, 255, 2**15, 2**31 - 1, 2**31, 2**62, 2**63, -(2**63), 2**200]
VALUE_TYPES = (
    *(bool, int, float, complex, str, bytes, bytearray, type(None)),
    *(torch.dtype, torch.device, np.generic, np.dtype),
)


def make(random: Random) -> bytes:
    """An input: a file that is like a real one."""
    kind, seed = random.choice(_seeds())
    data = bytes(seed)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        change = random.choice(
            (_bytes, _bytes, _cut, _opcodes, _opcodes, _opcodes, _opcodes, _archive)
        )
        data = change(random, data)
    return kind + data


def trial(data: bytes) -> str:
    """Read an input; it is loaded or refused in one sentence, and nothing changes."""
    file = os.memfd_create('input')
    path = f'/proc/self/fd/{file}'
    before = _state()
    try:
        os.write(file, data[1:])
        if data[:1] == CHECKPOINT:
            _check_value(safe_load(path))
        else:
            accuracies(load_results(path))
        word = 'loaded'
    except (CheckpointError, ResultError) as error:
        if '\n' in str(error) or isinstance(error.__cause__, MemoryError):
            raise Failure(f'{error!r} of {error.__cause__!r}') from error
        word = 'refused'
    finally:
        os.close(file)
    if _state() != before:
        raise Failure('the process has changed')
    return word


def _state():
    """Traces that untrusted files have left in the process."""
    rebuild = torch._utils._rebuild_tensor_v2
    return dict(HistoryBuffer._statistics_methods), rebuild.__defaults__


def _check_value(value):
    if isinstance(value, dict):
        for key, item in value.items():
            hash(key)
            _check_value(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _check_value(item)
    elif isinstance(value, argparse.Namespace):
        _check_value(vars(value))
    elif isinstance(value, HistoryBuffer):
        log, count = value.data
        if len(log) != len(count) or len(log) > value.max_length:
            raise Failure('a HistoryBuffer that cannot be')
    elif isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.device.type != 'cpu':
            raise Failure('a tensor that is not plain')
        value.clone()  # reads all of it
    elif isinstance(value, np.ndarray):
        if value.dtype.kind not in 'biufc':
            raise Failure('an array that is not of numbers')
        value.copy()
    elif not isinstance(value, VALUE_TYPES):
        raise Failure(f'a {type(value)}')


# Imported when first used, by zipfile and by pickletools
for _name in ('cp437', 'raw_unicode_escape'):
    codecs.lookup(_name)


@cache
def _seeds():
    """Small files of every kind that is read, and some that are made to break it."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    content = dict(
        meta=dict(epoch=3, cfg='a = 1', classes=('a', 'b'), seed=np.int64(3)),
        args=argparse.Namespace(lr=1e-3, betas=[0.9, 0.99]),
        state_dict=OrderedDict(module.state_dict()),
        optimizer=optimizer.state_dict(),
        param_schedulers=[dict(milestones=Counter([3, 5]), size=torch.Size([2, 3]))],
        message_hub=dict(
            log_scalars={'train/loss': HistoryBuffer([0.5, 0.25], [1, 1])},
            runtime_info=dict(best=np.float64(0.5), kinds={'a', 'b'}, blob=b'\xff\x00'),
        ),
        weights=[
            torch.nn.Parameter(torch.ones(2)), torch.ones(2).bfloat16(),
            torch.ones(3, dtype=torch.uint16), torch.arange(6).view(2, 3).t(),
            np.arange(6.0).reshape(2, 3), 1j,
        ],
    )  # fmt: skip
    found = []
    for options in (
        {}, {}, dict(pickle_protocol=4), dict(_use_new_zipfile_serialization=False)
    ):  # fmt: skip
        file = io.BytesIO()
        torch.save(content, file, **options)
        found.append((CHECKPOINT, file.getvalue()))
    results = [
        dict(pred_score=scores, pred_label=scores.argmax(0, keepdim=True),
             gt_label=torch.tensor([i]), num_classes=3, img_shape=(48, 48))
        for i, scores in enumerate(torch.rand(2, 3))
    ]  # fmt: skip
    arrays = [dict(pred_score=np.ones(3, np.float32), pred_label=np.array([1]),
                   gt_label=np.int64(1))]  # fmt: skip
    for value in (results, arrays):
        for protocol in (2, 4, 5):
            found.append((RESULT, pickle.dumps(value, protocol)))
    plain = pickles.tensor(pickles.storage(), (4,), (1,))
    for value in (
        pickles.items(plain, pickles.attack_by_state('raise SystemExit')),
        pickles.mapping(('a', plain), ('b', pickles.array(
            pickles.dtype('f8'), (2,), pickles.call(
                pickles.name('_codecs.encode'), pickles.text('\0' * 16),
                pickles.text('latin1'))))),
    ):  # fmt: skip
        file = io.BytesIO()
        pickles.write_checkpoint(file, value, _0=bytes(16))
        found.append((CHECKPOINT, file.getvalue()))
    return found


def _bytes(random, data):
    """Other bytes, anywhere."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        if data:
            data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def _cut(random, data):
    """Truncate, remove, duplicate or insert bytes."""
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return random.choice((
        data[:start],
        data[:start] + data[end:],
        data[:end] + data[start:],
        data[:start] + random.randbytes(random.randrange(1, 20)) + data[start:],
    ))  # fmt: skip


def _archive(random, data):
    """A zip archive rebuilt with other records, names and compressions."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            records = [(info.filename, old.read(info)) for info in old.infolist()]
    except Exception:
        return _bytes(random, data)
    change = random.choice(('bytes', 'cut', 'name', 'drop', 'double', 'swap', 'field'))
    if not records:  # an earlier change took the last one
        return data
    i = random.randrange(len(records))
    name, content = records[i]
    if change == 'bytes':
        records[i] = name, _bytes(random, content)
    elif change == 'cut':
        records[i] = name, _cut(random, content)
    elif change == 'name':
        records[i] = _bytes(random, name.encode()).decode('latin1'), content
    elif change == 'drop':
        del records[i]
    elif change == 'double':
        records.append(records[i])
    elif change == 'swap':
        j = random.randrange(len(records))
        records[i], records[j] = (name, records[j][1]), (records[j][0], content)
    data = bytearray(_zipped(records, random.choice((0, 0, 8, 12, 14))))
    if change == 'field':  # sizes, offsets and flags of a header
        marks = [
            m.start() for m in re.finditer(b'PK(\x01\x02|\x03\x04|\x05\x06)', data)
        ]
        at = random.choice(marks) + random.randrange(4, 46)
        value = random.choice((0, 1, 255, 2**16 - 1, 2**31, 2**32 - 1))
        data[at : at + 4] = struct.pack('<I', value)
    return bytes(data)


def _zipped(records, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of names that come twice
        with zipfile.ZipFile(file, 'w', compression) as archive:
            for name, content in records:
                archive.writestr(name.split('\0')[0] or 'x', content)
    return file.getvalue()


def _opcodes(random, data):
    """Replace the pickle by another program."""
    if data.startswith(b'PK'):
        return _in_archive(random, data)
    stream, start = io.BytesIO(data), 0
    try:
        for _ in range(3 if data[:4] == _legacy_start() else 0):
            start = _end_of_pickle(stream)
        end = _end_of_pickle(stream)
    except Exception:
        return _bytes(random, data)
    return data[:start] + _program(random, data[start:end]) + data[end:]


def _legacy_start():
    return pickle.dumps(0x1950A86A20F9469CFC6C, 2)[:4]


def _end_of_pickle(stream):
    for _ in pickletools.genops(stream):
        pass
    return stream.tell()


def _in_archive(random, data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            records = {info.filename: old.read(info) for info in old.infolist()}
        (name,) = (name for name in records if name.endswith('/data.pkl'))
        records[name] = _program(random, records[name])
    except Exception:
        return _bytes(random, data)
    return _zipped(records.items())


def _program(random, data):
    """A pickle with some opcodes changed, moved, repeated, or from others."""
    starts = [position for _, _, position in pickletools.genops(data)]
    parts = [data[i:j] for i, j in zip(starts, [*starts[1:], len(data)])]
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        i, j = random.randrange(len(parts)), random.randrange(len(parts))
        change = random.randrange(8)
        if change == 0:
            del parts[i]
        elif change == 1:
            parts.insert(i, parts[j])
        elif change == 2:
            parts[i], parts[j] = parts[j], parts[i]
        elif change == 3:
            parts[i] = _other(random, parts[i])
        elif change == 4:
            parts.insert(i, _piece(random))
        elif change == 5:
            parts[i:i] = parts[min(i, j) : max(i, j)][:40]
        elif change == 6:
            parts[i] = random.choice(pickletools.opcodes).code.encode('latin1')
        else:
            names = [k for k, part in enumerate(parts) if part[:1] == b'c']
            if names:
                parts[random.choice(names)] = pickles.name(random.choice(_names()))
        if not parts:
            return b'.'
    return b''.join(parts)


@cache
def _names():
    return sorted({*BUILDERS, *ONLY_NAMES, *TENSORS_WITHOUT_USE, *DANGEROUS})


def _other(random, part):
    """The same opcode with another argument."""
    if part[:1] in b'KMJ\x8a':
        return pickles.integer(random.choice(INTEGERS))
    if part[:1] in b'hj':
        return b'h' + bytes([random.randrange(256)])
    return part[:1] + _bytes(random, part[1:])


def _piece(random):
    """Something that is a value, or that does something to one."""
    integer = pickles.integer(random.choice(INTEGERS))
    return random.choice((
        b'N', b')', b']', b'}', b'(', b'0', b'1', b'2', b'b', b'R', b'\x81', b's', b'u',
        b'a', b'e', b't', b'\x85', b'\x86', b'\x87', b'Q', b'\x8f', b'\x90', b'\x91',
        b'\x92', b'\x93', b'\x94', integer, pickles.name(random.choice(_names())),
        pickles.text(random.choice(('__class__', '_metadata', 'latin1', 'f8', ''))),
        b'h' + bytes([random.randrange(256)]), b'q' + bytes([random.randrange(256)]),
        b'G' + random.randbytes(8), b'C\x03abc', pickles.items(integer, integer),
        pickles.storage(random.choice(('Float', 'Long', 'Untyped', 'QInt8')),
                        random.choice('0123'), random.choice((0, 4, 2**40))),
        pickles.tensor(pickles.storage(), (random.choice((1, 2**31, 2**61)),), (0,)),
        pickles.dtype(random.choice(('f8', 'O8', 'V8', 'M8', 'b1', 'S4')), '>'),
        b']' * random.randrange(1, 3000), b'(' * random.randrange(1, 3000),
        b']' + b'2\x86' * random.randrange(1, 200),
    ))  # fmt: skip


if __name__ == '__main__':
    main(make, trial, 'checkpoints and predictions')
