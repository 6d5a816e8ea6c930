"""Writes files that are either whole or not there."""

from __future__ import annotations

import os
import os.path as osp
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def replacing(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
    """A new file that takes the place of ``path`` once it is whole.

    Args:
        path (str | PathLike): The file; its folder is made if need be.
        mode (str): ``'w'`` for text in UTF-8, ``'wb'`` for bytes.
            Defaults to ``'w'``.

    Yields:
        IO: The file to write to. Where that fails, ``path`` stays as it was.
    """
    path = osp.abspath(path)
    folder, name = osp.split(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f'.{name}')
    text = {} if 'b' in mode else dict(encoding='utf-8', errors='surrogateescape')
    try:
        with open(handle, mode, **text) as file:
            yield file
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
