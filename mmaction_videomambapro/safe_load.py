"""Load checkpoints without executing code hidden in them."""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from os import PathLike
from typing import IO, Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, UntypedStorage

from .errors import UsageError
from .safe_pickle import (
    BUILDERS,
    Budget,
    Builder,
    Parser,
    Refused,
    RefusedName,
    Storage,
    StorageId,
)

LEGACY_NUMBERS = 0x1950A86A20F9469CFC6C, 1001
DAMAGED = 'is damaged or truncated'
CHUNK = 16 << 20

COMPRESSIONS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
# What zipfile raises for archives that are damaged or made by other programs
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


class CheckpointError(UsageError, RuntimeError):
    """A file that cannot be used as a checkpoint."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint that refers to classes or functions no checkpoint needs."""


def safe_load(
    file: str | PathLike | IO[bytes], map_location: Any = None, **_: Any
) -> Any:
    """``torch.load`` restricted to tensors, numbers, containers and log buffers.

    Both formats of ``torch.save`` are read by this package's own code, which never
    calls what the file names. Attributes, hooks and devices of tensors are dropped.

    Args:
        file (str | PathLike | IO): A checkpoint, as a path or an open file. A path that
            ends in ``.safetensors`` is read by that library.
        map_location (str | torch.device | dict | Callable, optional): As in
            ``torch.load``, but the default is the CPU. Defaults to None.
        **_: Other arguments of ``torch.load`` are ignored, ``weights_only=False``
            included: unsafe loading is not possible.

    Returns:
        Any: The content.

    Raises:
        UnsafeCheckpointError: If the pickle refers to anything else. The message has
            the file, the name and what to do.
        CheckpointError: If the file is missing, damaged or not a checkpoint, or if its
            content would take more than ten times its size in memory.
    """
    place = _placer(map_location)
    if not isinstance(file, (str, PathLike)):
        with _refusals(str(getattr(file, 'name', file))):
            return _read(file, place)
    with _refusals(str(file)), open(_regular(file), 'rb') as opened:
        if str(file).endswith('.safetensors'):
            return _read_safetensors(file, map_location)
        return _read(opened, place)


def load_url(
    url: str,
    model_dir: str | PathLike | None = None,
    map_location: Any = None,
    progress: bool = True,
) -> Any:
    """``torch.hub.load_state_dict_from_url`` with :func:`safe_load`.

    Args:
        url (str): Address of the file; it is only downloaded once.
        model_dir (str | PathLike, optional): Folder to keep the file in.
            Defaults to None (the folder of ``torch.hub``).
        map_location: As in :func:`safe_load`. Defaults to None (the CPU).
        progress (bool): Whether to show the progress of the download.
            Defaults to True.

    Returns:
        Any: The content.

    Raises:
        CheckpointError: If the file cannot be downloaded or saved, or if
            :func:`safe_load` refuses it.
    """
    folder = model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')
    try:
        name = os.path.basename(urlsplit(url).path) or 'checkpoint'
        kept = os.path.join(folder, name)
        if not os.path.exists(kept):
            os.makedirs(folder, exist_ok=True)
            torch.hub.download_url_to_file(url, kept, None, progress)
    except (OSError, HTTPException, ValueError) as error:
        raise CheckpointError(
            f'{url} cannot be downloaded ({error}). Use a local file, load_from=FILE '
            '(or checkpoint=FILE in an init_cfg), or no checkpoint, load_from=None.'
        ) from error
    try:
        return safe_load(kept, map_location)
    except CheckpointError as error:
        raise type(error)(
            f'{error} It came from {url}; delete it to download it again.'
        ) from error


def read_legacy(
    stream: IO[bytes],
    budget: Budget,
    place: Callable | None = None,
    build: Callable = Builder.value,
) -> Any:
    """Read what ``torch.save`` writes with ``_use_new_zipfile_serialization=False``.

    Args:
        stream (IO): The file, at its beginning.
        budget (Budget): Limit on the memory.
        place (Callable, optional): Maps a storage and its saved location to the storage
            on the wanted device. Defaults to None (the CPU).
        build (Callable): ``Builder.argument`` if the content may be a bare storage.
            Defaults to ``Builder.value``.

    Returns:
        Any: The content.

    Raises:
        Refused: If the file has another format.
    """
    if any(Parser({}, budget).parse(stream) != number for number in LEGACY_NUMBERS):
        raise Refused('was not written by torch.save')
    Parser({}, budget).parse(stream)  # facts about the machine, not needed
    parser = Parser(BUILDERS, budget)
    note = parser.parse(stream)
    keys = Parser({}, budget).parse(stream)
    ids = {found.key: found for found in parser.storages}
    if (
        type(keys) is not list
        or not all(type(key) is str for key in keys)
        or sorted(keys) != sorted(ids)
    ):
        raise Refused(DAMAGED)
    storages = {}
    for key in keys:
        numel = ids[key].numel
        if stream.read(8) != numel.to_bytes(8, 'little'):
            raise Refused(DAMAGED)
        storages[key] = _bytes_of(stream, numel * ids[key].dtype.itemsize, budget)
    find = _finder(lambda found: storages[found.key], place or _placer(None))
    return build(Builder(BUILDERS, budget, parser.shared, find), note)


def _read(file, place):
    start = file.tell()
    budget = Budget(file.seek(0, os.SEEK_END) - start)
    file.seek(start)
    begin = file.read(512)
    file.seek(start)
    if begin.startswith(b'PK\x03\x04'):
        return _read_zip(_Archive(file, budget), budget, place)
    if not begin:
        raise Refused('is empty')
    if begin[257:262] == b'ustar':
        raise Refused('is a tar archive, the format of PyTorch 0.1')
    return read_legacy(io.BytesIO(file.read()), budget, place)


def _read_zip(archive, budget, place):
    pickled = io.BytesIO(archive.read('data.pkl').numpy().tobytes())
    parser = Parser(BUILDERS, budget)
    note = parser.parse(pickled)
    order = 'little'
    if archive.has('byteorder'):
        order = archive.read('byteorder').numpy().tobytes().decode('latin1')

    def read(found: StorageId):
        data = archive.read(f'data/{found.key}')
        if order != sys.byteorder and found.dtype.itemsize > 1:
            data = _swapped(data, found.dtype)
        return data

    find = _finder(read, place)
    return Builder(BUILDERS, budget, parser.shared, find).value(note)


def _read_safetensors(path, map_location):
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise Refused('needs "pip install safetensors"') from None
    device = map_location if isinstance(map_location, (str, torch.device)) else 'cpu'
    try:
        return load_file(path, str(device))
    except (SafetensorError, OSError, ValueError) as error:
        raise Refused(DAMAGED) from error


class _Archive:
    """The records of a zip archive that ``torch.save`` wrote."""

    def __init__(self, file, budget):
        self.budget = budget
        with _zip_damage():
            self.zip = zipfile.ZipFile(file)
        self.records = {info.filename: info for info in self.zip.infolist()}
        roots = [name for name in self.records if name.endswith('/data.pkl')]
        if len(roots) != 1 or roots[0].count('/') != 1:
            raise Refused('is a zip archive that torch.save did not write')
        self.root = roots[0].removesuffix('data.pkl')
        if self.has('constants.pkl'):
            raise Refused('is a TorchScript program, not weights')

    def has(self, name):
        return f'{self.root}{name}' in self.records

    def read(self, name):
        info = self.records.get(f'{self.root}{name}')
        if info is None or info.compress_type not in COMPRESSIONS:
            raise Refused(DAMAGED)
        with _zip_damage(), self.zip.open(info) as stream:
            return _bytes_of(stream, info.file_size, self.budget)


@contextmanager
def _zip_damage():
    try:
        yield
    except ZIP_ERRORS as error:
        raise Refused(DAMAGED) from error


def _bytes_of(stream: IO[bytes], nbytes: int, budget: Budget) -> Tensor:
    """Read that many bytes in chunks; compressed data may be longer than it claims."""
    budget.spend(nbytes)
    try:
        data = torch.empty(nbytes, dtype=torch.uint8, device='cpu')
    except RuntimeError as error:  # of torch's allocator
        raise MemoryError from error
    rest = memoryview(data.numpy())
    while rest:
        count = stream.readinto(rest[:CHUNK])
        if not count:
            raise Refused(DAMAGED)
        rest = rest[count:]
    return data


def _swapped(data: Tensor, dtype: torch.dtype) -> Tensor:
    """Reverse the bytes of each number, or of each half of a complex number."""
    width = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    if len(data) % width:
        raise Refused(DAMAGED)
    return data.view(-1, width).flip(1).view(-1)


def _finder(read: Callable, place: Callable) -> Callable[[StorageId], Storage]:
    """Make a function that reads each storage once and moves it to its device."""
    kept: dict[str, UntypedStorage] = {}

    def find(found):
        if found.key not in kept:
            kept[found.key] = place(read(found).untyped_storage(), found.location)
        if kept[found.key].nbytes() < found.numel * found.dtype.itemsize:
            raise Refused(DAMAGED)
        return Storage(kept[found.key], found.dtype)

    return find


def _placer(map_location: Any) -> Callable[[UntypedStorage, str], UntypedStorage]:
    """Make a function that moves a storage to the device that ``map_location`` says."""
    if map_location is None:
        return lambda data, location: data
    if isinstance(map_location, dict):
        return lambda data, location: _on(map_location.get(location, 'cpu'), data)
    if not callable(map_location):
        return lambda data, location: _on(map_location, data)

    def place(data, location):
        placed = map_location(data, location)
        return data if placed is None else placed

    return place


def _on(device, data):
    whole = torch.empty(0, dtype=torch.uint8, device=data.device).set_(data)
    return whole.to(device).untyped_storage()


def _regular(path: str | PathLike) -> str | PathLike:
    """The path, if it is a regular file, which can be read to its end."""
    if '\0' in os.fspath(path):
        raise Refused('has an impossible name')
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Refused('is not a regular file')
    return path


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    """Turn faults of a file into an error of one sentence with its name."""
    try:
        yield
    except RefusedName as error:
        raise UnsafeCheckpointError(
            f'{source} was refused: loading it {error}, which no checkpoint of '
            "MMEngine contains and which may execute code chosen by the file's author. "
            'Get the weights from a source you trust, or load the file in a sandbox '
            'with its own program and save only its state_dict with torch.save.'
        ) from None
    except Refused as error:
        raise CheckpointError(
            f'{source} cannot be used as a checkpoint: it {error}.'
        ) from error
    except OSError as error:
        raise CheckpointError(f'{source} cannot be read: {error.strerror}.') from error
    except MemoryError as error:
        raise CheckpointError(
            f'{source} cannot be loaded: there is not enough memory.'
        ) from error
