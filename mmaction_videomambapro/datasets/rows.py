"""Rows of lists, lines that are not rows, and names that need quotes."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

from ..errors import UsageError

MOST_SHOWN = 1000  # bad lines of a list, in a message

QUOTED = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPED = re.compile(rb'\\(?:x([0-9a-fA-F]{2})|(.))', re.DOTALL)
_ESCAPES = {b'n': b'\n', b'r': b'\r', b't': b'\t', b'\\': b'\\', b"'": b"'"}
_LETTERS = {raw.decode(): letter.decode() for letter, raw in _ESCAPES.items()}


class Row(NamedTuple):
    """One sample of a list.

    Attributes:
        path (str): The path in the list.
        labels (tuple[int]): One label, several, or none.
        total_frames (int, optional): Number of frames of a folder of frames.
        line (int): Line number in the list, from 1.
        counted (int, optional): Number of frames of a video, if the list has it.
    """

    path: str
    labels: tuple[int, ...]
    total_frames: int | None = None
    line: int = 0
    counted: int | None = None


class BadLine(NamedTuple):
    """A line that is not a row.

    Attributes:
        file (str): The list.
        number (int): Line number, from 1.
        text (str): The line; empty if the reason concerns the whole list.
        reason (str): What is wrong, and what was expected.
    """

    file: str
    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        if not self.text:
            return f'{quote(self.file)}: {self.reason}'
        text = self.text if len(self.text) <= 80 else self.text[:77] + '...'
        return f'{quote(self.file)}:{self.number}: {self.reason}; the line is {text!r}'


class ListError(UsageError, ValueError):
    """A list with bad lines; all of them.

    Args:
        bad (list[BadLine]): The lines, at least one.
    """

    def __init__(self, bad: list[BadLine]) -> None:
        self.bad = bad
        lines = [str(x) for x in bad[:MOST_SHOWN]]
        if len(bad) > MOST_SHOWN:
            lines.append(f'and {len(bad) - MOST_SHOWN} more')
        super().__init__('\n'.join(lines))

    @classmethod
    def of(cls, file: str, reason: str) -> ListError:
        """Make an error that concerns the whole list."""
        return cls([BadLine(str(file), 1, '', reason)])


def quote(text: str, always: bool = False) -> str:
    r"""Write a name as one line of printable text.

    A printable name stays as it is. Others become ``$'...'``, as in a shell,
    with ``\n``, ``\t``, ``\\``, ``\'`` and ``\xff`` for bytes that are not printable.

    Args:
        text (str): The name, as ``os.fsdecode`` gives it.
        always (bool): Quote printable names too. Defaults to False.
    """
    if not always and text.isprintable() and not text.startswith("$'"):
        return text
    return "$'" + ''.join(map(_escape, text)) + "'"


def unquote(text: str) -> str | None:
    """Undo :func:`quote`, given the text between its quotes; None if it is invalid."""
    try:
        raw = _ESCAPED.sub(_unescape, text.encode('utf-8', 'surrogateescape'))
    except (KeyError, UnicodeEncodeError):
        return None
    return None if b'\0' in raw else raw.decode('utf-8', 'surrogateescape')


def _unescape(match):
    digits, letter = match.groups()
    return bytes([int(digits, 16)]) if digits else _ESCAPES[letter]


def _escape(character):
    if character in _LETTERS:
        return '\\' + _LETTERS[character]
    if character.isprintable():
        return character
    raw = character.encode('utf-8', 'surrogateescape')
    return ''.join(f'\\x{byte:02x}' for byte in raw)


def is_file_name(text: str) -> bool:
    """Whether a file or folder can have this name, in the form of ``os.fsdecode``."""
    try:
        return b'\0' not in text.encode('utf-8', 'surrogateescape')
    except UnicodeEncodeError:  # a lone surrogate, as JSON can hold
        return False


@contextmanager
def open_text(path: str | os.PathLike, newline: str | None = None) -> Iterator[IO[str]]:
    """Open UTF-8 text, gzipped or not; other bytes are decoded as by ``os.fsdecode``.

    Raises:
        OSError: If the file cannot be read.
        ListError: If the gzip file is damaged.
    """
    with open(path, 'rb') as file:
        packed = file.read(2) == b'\x1f\x8b'
        file.seek(0)
        raw = gzip.GzipFile(fileobj=file) if packed else file
        try:
            yield io.TextIOWrapper(raw, 'utf-8-sig', 'surrogateescape', newline)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            reason = f'the gzip file is damaged ({error})'
            raise ListError.of(os.fspath(path), reason) from error
