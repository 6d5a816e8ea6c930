r"""Lists of samples in the common formats: one parser for all of them.

=============  ==========================================================
``video``      ``video_path label``, of VideoMamba, VideoMAE and MMAction2
``counted``    ``video_path total_frames label``
``rawframes``  ``frame_folder_path total_frames label``
``image``      ``image_path label``, of ImageNet-1K
``vjepa``      ``path label`` or only ``path``, of V-JEPA
``auto``       the format that fits the first rows, never ``counted``
=============  ==========================================================

Columns are separated by spaces, tabs, commas or semicolons. They are read from the
right, so paths may contain any of these. Paths may be quoted: ``"a b.mp4" 3``, or
``$'line\nbreak.mp4' 3`` for names that cannot be written in a line, see
:func:`rows.quote`. More labels may follow the first. Blank lines and lines that begin
with # are skipped. Official annotation files are read too, see :mod:`annotations`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from . import annotations
from .classes import label_numbers
from .media import IMAGE, MEDIA
from .rows import (
    QUOTED,
    BadLine,
    ListError,
    Row,
    is_file_name,
    open_text,
    quote,
    unquote,
)

FORMATS = 'video', 'counted', 'rawframes', 'image', 'vjepa'
DELIMITERS = '\t', ',', ';', ' '

_NUMBER = re.compile(r'[0-9]{1,9}')
_ROWS_TO_LOOK_AT = 1000
_LONGEST_LINE = 1 << 16


def read_list(
    path: str | os.PathLike, form: str = 'auto', delimiter: str = 'auto', **options
) -> list[Row]:
    """Read a whole list.

    Args:
        path (str | PathLike): Text file in UTF-8, may be gzipped.
        form (str): A format, see above and :mod:`annotations`. Defaults to ``'auto'``.
        delimiter (str): One of DELIMITERS, or ``'auto'`` for the one that fits the
            first rows. Defaults to ``'auto'``.
        **options: ``classes``, ``subset`` and ``fold`` of :func:`parse_list`.

    Returns:
        list[Row]: The rows in the order of the list.

    Raises:
        ListError: If there are bad lines (it lists them all) or no rows.
        OSError: If the file cannot be read.
    """
    rows, bad = [], []
    for item in parse_list(path, form, delimiter, **options):
        (bad if isinstance(item, BadLine) else rows).append(item)
    if bad:
        raise ListError(bad)
    if not rows:
        raise ListError.of(os.fspath(path), 'the list has no rows')
    return rows


def parse_list(
    path: str | os.PathLike,
    form: str = 'auto',
    delimiter: str = 'auto',
    *,
    classes: str | os.PathLike | Sequence[str] | None = None,
    subset: str | None = None,
    fold: int = 1,
) -> Iterator[Row | BadLine]:
    """Read a list row by row.

    Args:
        path (str | PathLike): Text file in UTF-8, may be gzipped.
        form (str): A format, see above and :mod:`annotations`. Defaults to ``'auto'``.
        delimiter (str): One of DELIMITERS, or ``'auto'`` for the one that fits the
            first rows. Defaults to ``'auto'``.
        classes (str | PathLike | Sequence[str], optional): Class names in label order,
            or a file of them, needed if labels are class names. Defaults to None.
        subset (str, optional): Read only the rows of this split, such as ``'train'``,
            from an official file. Defaults to None (all rows).
        fold (int): Fold of HMDB51, 1 to 3. Defaults to 1.

    Yields:
        Row | BadLine: One for each line.
    """
    path = os.fspath(path)
    try:
        official = form
        if form not in annotations.FORMATS:
            official = annotations.find_official(path)
        if official:
            items = annotations.read_official(path, official, classes, subset, fold)
        elif subset is not None:
            raise ListError.of(path, f'it does not say which rows are in {subset!r}')
        else:
            items = _parse_lines(path, form, delimiter, classes)
        for item in items:
            if isinstance(item, Row) and not is_file_name(item.path):
                reason = 'no file can have this path'
                item = BadLine(path, item.line, item.path, reason)
            yield item
    except ListError as error:
        yield from error.bad


def row_line(row: Row) -> str:
    """Format a row as a line, without a line break; :func:`parse_list` reads it back.

    The path is quoted if the line would not be read back as this row otherwise.

    Raises:
        ValueError: If the row cannot be written as a line.
    """
    form = 'rawframes' if row.total_frames else 'video' if row.labels else 'vjepa'
    for path in (row.path, quote(row.path, always=True)):
        line = plain_line(row._replace(path=path))
        same = row._replace(line=0, counted=None)  # which no line needs
        if _stays(line) and _parse(line, form, ' ') == same:
            return line
    raise ValueError(f'{row!r} cannot be written as a line of a list')


def plain_line(row: Row) -> str:
    """Format a row as MMAction2's dataset types read it, without quotes."""
    frames = () if row.total_frames is None else (row.total_frames,)
    return ' '.join(map(str, (row.path, *frames, *row.labels)))


def without_prefix(path: str, prefix: str) -> str:
    """Remove a prefix of whole folders from a path that has it."""
    folder = prefix.rstrip('/') + '/'
    found = prefix and path.startswith(folder)
    return path[len(folder) :].lstrip('/') if found else path


def _stays(line):
    """Whether a line is read unchanged, as columns separated by spaces."""
    return (
        line.isprintable()
        and line == line.strip()
        and not line.startswith(('#', '[', '{'))
        and not any(_split(line, x)[1] for x in DELIMITERS if x != ' ')
    )


def _parse_lines(path, form, delimiter, classes):
    numbers = {} if classes is None else label_numbers(classes)
    lines = _lines(path)
    first = list(islice(lines, _ROWS_TO_LOOK_AT))
    texts = [text for _, text in first]
    if delimiter == 'auto':
        delimiter = _find_delimiter(texts)
    if form == 'auto':
        form = find_format(texts, delimiter)
    for number, text in chain(first, lines):
        row = _parse(text, form, delimiter, numbers)
        if isinstance(row, Row):
            yield row._replace(line=number)
        else:
            yield BadLine(path, number, text, row)


def find_format(lines: Iterable[str], delimiter: str) -> str:
    """The format of these lines, ``'video'`` if several fit."""
    kinds = set()
    for line in lines:
        path, numbers = _split(line, delimiter)
        if not numbers:
            if MEDIA.search(path):
                kinds.add('vjepa')
        elif MEDIA.search(path):
            kinds.add('image' if IMAGE.search(path) else 'video')
        else:
            kinds.add('rawframes' if len(numbers) > 1 else 'video')
    for form in ('rawframes', 'image'):
        if kinds == {form}:
            return form
    return 'vjepa' if 'vjepa' in kinds and kinds <= {'vjepa', 'video'} else 'video'


def _lines(path):
    """Yield number and text of each line that should be a row."""
    with open_text(path) as file:
        pieces = iter(lambda: file.readline(_LONGEST_LINE), '')
        for number, line in enumerate(pieces, 1):
            if len(line) == _LONGEST_LINE:
                raise ListError.of(
                    path, f'line {number} is too long: this is not a list of samples'
                )
            line = line.strip()
            if line and not line.startswith('#'):
                yield number, line


def _parse(line, form, delimiter, classes: Mapping[str, int] | None = None):
    """Parse a line: a row, or the reason why it is not one."""
    if '\0' in line:
        return 'it contains a null byte: this is not a text file'
    path, numbers = _split(line, delimiter)
    wanted = 2 if form in ('rawframes', 'counted') else 1
    if wanted == 1 and not MEDIA.search(path):
        path, numbers = _split(line, delimiter, most=1)  # 'my clip 7', 3
    if classes and wanted == 1:
        path, numbers = _split_word(line, classes) or (path, numbers)
    if not path:
        return f'the path is missing, expected {_expected(form, delimiter)}'
    if form == 'vjepa' and not numbers and (MEDIA.search(path) or QUOTED.match(line)):
        return Row(path, ())
    if len(numbers) < wanted:
        return _what_is_wrong(line, form, delimiter, classes)
    if wanted == 1:
        return Row(path, numbers)
    if numbers[0] == 0:
        return 'total_frames is 0, expected at least 1'
    frames, *labels = numbers
    if form == 'counted':
        return Row(path, tuple(labels), counted=frames)
    return Row(path, tuple(labels), frames)


def _split(line, delimiter, most=None):
    """Split a line into the path and the numbers after it, at most ``most``."""
    quoted = QUOTED.match(line)
    path = quoted and unquote(quoted[1])
    if path is not None:
        rest, numbers = _cut_numbers(line[quoted.end() :], delimiter, None)
        if not rest:
            return path, numbers
    if line[0] in '"\'':
        end = line.find(line[0], 1)
        rest, numbers = _cut_numbers(line[end + 1 :], delimiter, None)
        if end > 0 and not rest:
            return line[1:end].strip(), numbers
    return _cut_numbers(line, delimiter, most)


def _cut_numbers(text, delimiter, most):
    """Cut the numbers, at most ``most``, off the end of a string."""
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


def _split_word(line, classes):
    """The path and the label for the class name after it, or None."""
    for match in re.finditer(r'[\t,; ]', line):
        word = line[match.end() :].strip()
        if len(word) > 1 and word[0] == word[-1] and word[0] in '"\'':
            word = word if word in classes else word[1:-1]
        if word in classes and not _NUMBER.fullmatch(word):
            path = line[: match.start()].strip()
            return path and _split(path, ' ', most=0)[0], (classes[word],)
    return None


def _what_is_wrong(line, form, delimiter, classes):
    last = line[line.rfind(delimiter) + 1 :].strip()
    reason = f'the last column {last[:20]!r} is not an integer in [0, 999999999]'
    if classes:
        reason += ' or a known class name'
    elif last.isalpha():
        reason += ' (if labels are class names, pass the list of all classes)'
    if _NUMBER.fullmatch(last):
        reason = 'a column is missing'
    return f'{reason}, expected {_expected(form, delimiter)}'


def _expected(form, delimiter):
    columns = {
        'video': ('video_path', 'label'),
        'counted': ('video_path', 'total_frames', 'label'),
        'rawframes': ('frame_folder_path', 'total_frames', 'label'),
        'image': ('image_path', 'label'),
        'vjepa': ('path', 'label'),
    }[form]
    return repr(delimiter.join(columns))


def _find_delimiter(lines):
    """The delimiter with which most lines end in numbers; ties: most numbers."""

    def fits(delimiter):
        numbers = [len(_split(line, delimiter)[1]) for line in lines]
        return sum(n > 0 for n in numbers), sum(numbers)

    best = max(DELIMITERS, key=fits, default=' ')
    return best if lines and fits(best)[0] else ' '
