"""Read untrusted YAML: plain values in bounded time, or an error of one sentence."""

from __future__ import annotations

import math
import os
import re
from numbers import Real
from typing import Any

import yaml

from .errors import UsageError

LARGEST = 1_000_000  # bytes, and what aliases make of them
DEEPEST = 32
_PREFIX = 'tag:yaml.org,2002:'
_PLAIN = {
    f'{_PREFIX}null': 'null',
    f'{_PREFIX}bool': 'true or false',
    f'{_PREFIX}int': 'an integer of at most 64 bits',
    f'{_PREFIX}float': 'a finite number',
    f'{_PREFIX}str': 'a string',
    f'{_PREFIX}seq': 'a list',
    f'{_PREFIX}map': 'a mapping',
}
_KINDS = {
    bool: 'true or false',
    int: 'an integer',
    Real: 'a number',
    str: 'a string',
    list: 'a list',
    dict: 'a mapping',
}
_MERGE = f'{_PREFIX}merge'


class YamlError(UsageError, ValueError):
    """A file that is not YAML of plain values, with the place in it."""


def read_yaml(path: str | os.PathLike, shape: Any = object) -> Any:
    """Read one document.

    Dates are read as strings. Keys must be strings, without duplicates.

    Args:
        path (str | PathLike): A UTF-8 file of at most 1 MB.
        shape: The expected structure: a type; a pattern, for strings; a list with the
            shape of all items; a dict of shapes by key, where any key may be missing
            and ``...`` stands for all other keys; or a tuple of a shape and None, if
            the value may be null. Defaults to ``object`` (anything).

    Returns:
        Any: None, bool, int of at most 64 bits, finite float, str, and lists and
        dicts of these, at most 32 levels deep.

    Raises:
        YamlError: If the file contains anything else, with file, line and reason.
        OSError: If the file cannot be read.
    """
    with open(path, 'rb') as file:
        data = file.read(LARGEST + 1)
    try:
        value = _parse(data)
    except YamlError as error:
        raise YamlError(f'{path} cannot be read: {error}') from error
    wrong = _misfit(value, shape, '')
    if wrong:
        raise YamlError(f'{path} cannot be read: {wrong}')
    return value


def _parse(data):
    if len(data) > LARGEST:
        raise YamlError(f'it has more than {LARGEST:,} bytes')
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise YamlError(f'line {line}: it is not UTF-8 text') from error
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count('\n', 0, error.position) + 1
        reason = f'the character {chr(error.character)!r} is not allowed'
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark or loader.get_mark()).line + 1
        reason = ', '.join(filter(None, (error.context, error.problem)))
    except (ValueError, OverflowError):  # the scanner's, of \U with too many digits
        line, reason = loader.get_mark().line + 1, 'it names a character out of range'
    raise YamlError(f'line {line}: {_one_line(reason)}')


def _misfit(value, shape, where):
    """The first place where a value does not match a shape; None if it matches."""
    if isinstance(shape, tuple):
        return None if value is None else _misfit(value, shape[0], where)
    if isinstance(shape, re.Pattern):
        if isinstance(value, str) and shape.fullmatch(value):
            return None
        return f'{where} is not a string like {shape.pattern}'
    kind = shape if isinstance(shape, type) else type(shape)
    if not isinstance(value, kind):
        return f'{where or "it"} is not {_KINDS[kind]}'
    if isinstance(shape, dict):
        parts = ((key, value[key], shape.get(key, shape.get(...))) for key in value)
    elif isinstance(shape, list):
        parts = ((i, item, shape[0]) for i, item in enumerate(value))
    else:
        return None
    faults = (
        _misfit(part, its_shape, f'{where}.{key}' if where else str(key))
        for key, part, its_shape in parts
        if its_shape is not None
    )
    return next(filter(None, faults), None)


def _one_line(text):
    text = ' '.join(text.split())
    return text if len(text) <= 200 else f'{text[:197]}...'


class _Loader(yaml.SafeLoader):
    """A loader that checks limits while parsing, before values are built."""

    def __init__(self, text):
        super().__init__(text)
        self.depth = self.size = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        before = self.size
        self.depth += 1
        self.size += 10 + len(getattr(event, 'value', None) or '')
        self._insist(self.depth <= DEEPEST, f'more than {DEEPEST} levels', event)
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            # the node it refers to is still being read
            self._insist(hasattr(node, 'size'), 'it contains itself', event)
            self.size += node.size
        else:
            node.size = self.size - before
        self._insist(self.size <= LARGEST, 'it is too large, with its aliases', event)
        self.depth -= 1
        return node

    def construct_object(self, node, deep=False):
        tag = node.tag.replace(_PREFIX, '!!')
        self._insist(node.tag in _PLAIN, f'the tag {tag} is not allowed', node)
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, OverflowError):
            value = math.nan  # for example from !!int of a word
        reason = f'{_short(node.value)} is not {_PLAIN[node.tag]}'
        self._insist(_is_plain(value), reason, node)
        return value

    def construct_mapping(self, node, deep=False):
        self._insist(isinstance(node, yaml.MappingNode), 'it is not a mapping', node)
        seen = set()
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            value = self.construct_object(key, deep=True)
            text = isinstance(value, str)
            self._insist(
                text, f'the key {_short(key.value)} is not a string: quote it', key
            )
            self._insist(
                value not in seen, f'the key {_short(value)} appears twice', key
            )
            seen.add(value)
        return super().construct_mapping(node, deep)

    def _insist(self, condition, reason, where):
        if not condition:
            raise yaml.MarkedYAMLError(problem=reason, problem_mark=where.start_mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in {*_PLAIN, _MERGE}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _is_plain(value):
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, str):
        # surrogates that escape bytes of file names are allowed
        return re.search('[\ud800-\udc7f\udd00-\udfff]', value) is None
    return not isinstance(value, float) or math.isfinite(value)


def _short(value):
    if not isinstance(value, str):
        return 'a collection'
    return repr(value) if len(value) <= 40 else f'{value[:37]!r}...'
