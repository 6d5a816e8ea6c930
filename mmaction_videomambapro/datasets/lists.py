"""Lists of samples, as the field writes them: one parser for all of them.

=============  ==========================================================
``video``      ``video_path label``, of VideoMamba, VideoMAE and MMAction2
``rawframes``  ``frame_folder_path total_frames label``, of the same
``image``      ``image_path label``, of ImageNet-1K
``vjepa``      ``path label`` or ``path`` alone, of V-JEPA
``auto``       the one of these that fits the first rows
=============  ==========================================================

Columns stand apart by blanks, tabs, commas or semicolons. They are read from the right,
so that paths may contain any of these, and may be quoted. More labels may follow the
first. Blank lines, and lines that begin with #, are no rows.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

FORMATS = 'video', 'rawframes', 'image', 'vjepa'
DELIMITERS = '\t', ',', ';', ' '

# What tells a file's name from the number behind it
_MEDIA = re.compile(
    r'\.(mp4|webm|avi|mkv|mov|flv|m4v|mpe?g|wmv|3gp|ts|gif|jpe?g|png|bmp|webp|npy)$',
    re.IGNORECASE,
)
_NUMBER = re.compile(r'[0-9]{1,9}')
_ROWS_TO_LOOK_AT = 1000
MOST_SHOWN = 1000  # bad lines of a list, in a message


class Row(NamedTuple):
    """A sample.

    Attributes:
        path (str): As in the list.
        labels (tuple[int]): One, several, or none.
        total_frames (int, optional): Of a folder of frames.
        line (int): Its number in the list, from 1.
    """

    path: str
    labels: tuple[int, ...]
    total_frames: int | None = None
    line: int = 0


class BadLine(NamedTuple):
    """A line that is no row.

    Attributes:
        file (str): The list.
        number (int): Of the line, from 1.
        text (str): The line.
        reason (str): What is wrong with it, and what was expected.
    """

    file: str
    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        text = self.text if len(self.text) <= 80 else self.text[:77] + '...'
        return f'{self.file}:{self.number}: {self.reason}; the line is {text!r}'


class ListError(ValueError):
    """A list with bad lines; all of them.

    Args:
        bad (list[BadLine]): At least one.
    """

    def __init__(self, bad: list[BadLine]) -> None:
        self.bad = bad
        lines = [str(x) for x in bad[:MOST_SHOWN]]
        if len(bad) > MOST_SHOWN:
            lines.append(f'and {len(bad) - MOST_SHOWN} more')
        super().__init__('\n'.join(lines))


def read_list(
    path: str | Path, form: str = 'auto', delimiter: str = 'auto'
) -> list[Row]:
    """Read a whole list.

    Args:
        path (str | Path): Text in UTF-8, or gzip of it.
        form (str): A format, see above. Defaults to ``'auto'``.
        delimiter (str): One of DELIMITERS, ``'auto'`` for the one that fits the first
            rows. Defaults to ``'auto'``.

    Returns:
        list[Row]: In the order of the list.

    Raises:
        ListError: With every bad line, or if there is no row at all.
        OSError: If the file can not be read.
    """
    rows, bad = [], []
    for item in parse_list(path, form, delimiter):
        (bad if isinstance(item, BadLine) else rows).append(item)
    if bad:
        raise ListError(bad)
    if not rows:
        raise ListError([BadLine(str(path), 1, '', 'the list has no rows')])
    return rows


def parse_list(
    path: str | Path, form: str = 'auto', delimiter: str = 'auto'
) -> Iterator[Row | BadLine]:
    """Read a list row by row; arguments are those of :func:`read_list`.

    Yields:
        Row | BadLine: Whatever a line is.
    """
    lines = _lines(path)
    first = list(islice(lines, _ROWS_TO_LOOK_AT))
    texts = [text for _, text in first if isinstance(text, str)]
    if delimiter == 'auto':
        delimiter = _find_delimiter(texts)
    if form == 'auto':
        form = find_format(texts, delimiter)
    for number, text in chain(first, lines):
        yield _row_or_bad(path, number, text, form, delimiter)


def find_format(lines: Iterable[str], delimiter: str) -> str:
    """The format of these lines, ``'video'`` where several would do."""
    kinds = set()
    for line in lines:
        path, numbers = _split(line, delimiter)
        if not numbers:
            if _MEDIA.search(path):
                kinds.add('vjepa')
        elif _MEDIA.search(path):
            image = re.search(r'\.(jpe?g|png|bmp|webp)$', path, re.IGNORECASE)
            kinds.add('image' if image else 'video')
        else:
            kinds.add('rawframes' if len(numbers) > 1 else 'video')
    for form in ('rawframes', 'image'):
        if kinds == {form}:
            return form
    return 'vjepa' if 'vjepa' in kinds and kinds <= {'vjepa', 'video'} else 'video'


def _lines(path):
    """Number and text of each line that should be a row; an error in place of text."""
    number = 0
    try:
        with open(path, 'rb') as file:
            packed = file.read(2) == b'\x1f\x8b'
            file.seek(0)
            raw = gzip.GzipFile(fileobj=file) if packed else file
            text = io.TextIOWrapper(raw, 'utf-8-sig', errors='surrogateescape')
            for number, line in enumerate(text, 1):
                line = line.strip()
                if line and not line.startswith('#'):
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield number + 1, error


def _row_or_bad(path, number, text, form, delimiter):
    if not isinstance(text, str):
        return BadLine(str(path), number, '', f'the gzip file is damaged ({text})')
    row = _parse(text, form, delimiter)
    if isinstance(row, Row):
        return row._replace(line=number)
    return BadLine(str(path), number, text, row)


def _parse(line, form, delimiter):
    """A row, or what is wrong with the line."""
    if '\0' in line:
        return 'it contains a zero byte: this is no text file'
    path, numbers = _split(line, delimiter)
    wanted = 2 if form == 'rawframes' else 1
    if form != 'rawframes' and not _MEDIA.search(path):
        path, numbers = _split(line, delimiter, most=1)  # 'my clip 7', 3
    if not path:
        return f'the path is missing, expected {_expected(form, delimiter)}'
    if form == 'vjepa' and not numbers and _MEDIA.search(path):
        return Row(path, ())
    if len(numbers) < wanted:
        return _what_is_wrong(line, form, delimiter)
    if form != 'rawframes':
        return Row(path, numbers)
    if numbers[0] == 0:
        return 'total_frames is 0, expected at least 1'
    return Row(path, numbers[1:], numbers[0])


def _split(line, delimiter, most=None):
    """The path, and the numbers behind it, or as many of them."""
    if line[0] in '"\'':
        end = line.find(line[0], 1)
        rest, numbers = _cut_numbers(line[end + 1 :], delimiter, None)
        if end > 0 and not rest:
            return line[1:end].strip(), numbers
    return _cut_numbers(line, delimiter, most)


def _cut_numbers(text, delimiter, most):
    """What stands before the numbers at the end of a text, and these."""
    numbers, end = [], len(text)
    while most is None or len(numbers) < most:
        at = text.rfind(delimiter, 0, end)
        column = text[at + 1 : end].strip()
        if at < 0 or ((column or delimiter != ' ') and not _NUMBER.fullmatch(column)):
            break
        if column:
            numbers.append(int(column))
        end = at
    return text[:end].strip(), tuple(reversed(numbers))


def _what_is_wrong(line, form, delimiter):
    last = line[line.rfind(delimiter) + 1 :].strip()
    reason = f'it ends in {last[:20]!r}, which is no whole number from 0 to 999999999'
    if _NUMBER.fullmatch(last):
        reason = 'a column is missing'
    return f'{reason}, expected {_expected(form, delimiter)}'


def _expected(form, delimiter):
    columns = {
        'video': ('video_path', 'label'),
        'rawframes': ('frame_folder_path', 'total_frames', 'label'),
        'image': ('image_path', 'label'),
        'vjepa': ('path', 'label'),
    }[form]
    return repr(delimiter.join(columns))


def _find_delimiter(lines):
    """The one at which the most lines end in numbers, and the most numbers."""

    def fits(delimiter):
        numbers = [len(_split(line, delimiter)[1]) for line in lines]
        return sum(n > 0 for n in numbers), sum(numbers)

    best = max(DELIMITERS, key=fits, default=' ')
    return best if lines and fits(best)[0] else ' '
