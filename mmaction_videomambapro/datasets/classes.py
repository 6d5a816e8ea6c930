"""Class names: of published datasets, and from files of several formats."""

from __future__ import annotations

import csv
import json
import os
import os.path as osp
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from .rows import QUOTED, ListError, is_file_name, open_text, quote, unquote

_LARGEST = 1 << 26  # characters
_NUMBERED = re.compile(r'([0-9]{1,6})[\s,;:]+(.*\S)')
PUBLISHED = {path.stem: path for path in Path(__file__).parent.glob('names/*.txt')}


def is_published(classes: object) -> bool:
    """Whether this names a published dataset whose class names come along."""
    return isinstance(classes, str) and classes in PUBLISHED


def read_classes(path: str | os.PathLike) -> list[str]:
    """Read the names of classes.

    Args:
        path (str | PathLike): A published dataset, one of PUBLISHED, such as
            ``'kinetics400'``; for a file of such a name write ``'./kinetics400'``. Or a
            text file with one name per line, where names quoted by :func:`classes_text`
            are unquoted; a JSON object of names and numbers; a JSON list of names; a
            CSV file with the header ``id,name``; or UCF101's ``classInd.txt``.

    Returns:
        list[str]: The names in label order.

    Raises:
        ListError: If the file cannot be read or has no names, one is blank, or numbers
            are missing.
    """
    path = os.fspath(PUBLISHED[path] if is_published(path) else path)
    try:
        with open_text(path, newline='\n') as file:
            text = file.read(_LARGEST)
    except OSError as error:
        reason = f'the class names cannot be read: {error.strerror or error}'
        raise ListError.of(path, reason) from error
    if len(text) == _LARGEST:
        raise ListError.of(path, 'the file is too large to be a list of class names')
    if osp.splitext(path)[1].lower() == '.json':
        names = _from_json(path, text)
    else:
        lines = [line.removesuffix('\r') for line in text.split('\n')]
        while lines and not lines[-1].strip():
            lines.pop()
        if lines and re.fullmatch(r'id,\s*name', lines[0].strip()):
            names = _from_table(path, lines[1:])
        elif osp.basename(path).lower() == 'classind.txt':
            names = _from_pairs(path, [line.split(None, 1) for line in lines])
        else:
            names = [_name(path, i, line) for i, line in enumerate(lines, 1)]
    if not names:
        raise ListError.of(path, 'the file has no class names')
    for name in names:
        if not is_file_name(name):
            raise ListError.of(path, f'{name!r} is not a valid class name')
    return names


def classes_text(names: Iterable[str]) -> str:
    r"""Format names so that :func:`read_classes` reads them back, whatever they are.

    Names that are blank or not printable are quoted as in ``$'line\nbreak'``.
    """
    return ''.join(f'{quote(name, not name.strip())}\n' for name in names)


def label_numbers(classes: str | os.PathLike | Sequence[str]) -> dict[str, int]:
    """Map class names to label numbers.

    If all names are numbered, as in ``1 ApplyEyeMakeup``, the names without their
    numbers are included as well.

    Args:
        classes (str | PathLike | Sequence[str]): The names, or a file of them.

    Raises:
        ListError: If the file cannot be read, or two classes have the same name.
    """
    source, names = 'classes', classes
    if isinstance(classes, (str, os.PathLike)):
        source, names = os.fspath(classes), read_classes(classes)
    numbers = {}
    for i, name in enumerate(names):
        if numbers.setdefault(name, i) != i:
            reason = f'classes {numbers[name]} and {i} are both named {name!r}'
            raise ListError.of(source, reason)
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    if all(numbered):
        first = int(numbered[0][1]) if numbered else 0
        if [int(x[1]) for x in numbered] == list(range(first, first + len(names))):
            for i, match in enumerate(numbered):
                numbers.setdefault(match[2], i)
    for name, i in list(numbers.items()):
        numbers.setdefault(name.strip(), i)
    return numbers


def _name(path, number, line):
    if not line.strip():
        raise ListError.of(path, f'line {number} is blank, but must name a class')
    quoted = QUOTED.fullmatch(line.rstrip())
    name = quoted and unquote(quoted[1])
    return line if name is None else name


def _from_table(path, lines):
    try:
        return _from_pairs(path, list(csv.reader(lines)))
    except csv.Error as error:
        raise ListError.of(path, f'it is not a CSV file of classes: {error}') from error


def _from_json(path, text):
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ListError.of(path, f'the JSON file is damaged ({error})') from error
    if isinstance(content, list) and all(isinstance(x, str) for x in content):
        return content
    if not isinstance(content, dict):
        raise ListError.of(path, 'expected a JSON object of names and numbers')
    if not all(re.fullmatch('[0-9]+', name) for name in content):
        return _from_pairs(path, [(number, name) for name, number in content.items()])
    return _from_pairs(path, [(number, str(name)) for number, name in content.items()])


def _from_pairs(path, pairs):
    """Names in the order of their numbers, which start from 0 or 1."""
    names = {}
    for pair in pairs:
        number = str(pair[0]).strip() if len(pair) == 2 else ''
        if not re.fullmatch('[0-9]{1,6}', number):
            raise ListError.of(path, f'{pair!r} is not a number and a name')
        names[int(number)] = pair[1].strip()
    n = len(pairs)
    if sorted(names) not in (list(range(n)), list(range(1, n + 1))):
        raise ListError.of(path, 'classes are not numbered without gaps from 0 or 1')
    return [names[i] for i in sorted(names)]
