"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import os.path as osp
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def replacing(path: str | os.PathLike, binary: bool = False) -> Iterator[IO]:
    """A new file that takes the place of ``path`` once it is whole.

    Args:
        path (str | PathLike): The file; its folder is made if need be.
        binary (bool): Opened for bytes, else for text in UTF-8.
            Defaults to False.
    """
    folder = osp.dirname(osp.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix='.' + osp.basename(path))
    text = {} if binary else dict(encoding='utf-8', errors='surrogateescape')
    try:
        with open(handle, 'wb' if binary else 'w', **text) as file:
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
