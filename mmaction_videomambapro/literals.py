"""Writes values so that what reads them cannot take them for anything but values.

Names of files, folders and classes, and values of files from elsewhere, hold whatever
their makers liked: quotes, braces, pipes, line breaks, bytes that are not UTF-8.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any
from urllib.parse import quote

_MARKDOWN = re.compile(
    r'[^\w .,;:()/+%\'"?=-]'  # all but what begins no markup within a line
    r'|(?<![^\W_])_'  # an underscore begins emphasis only where a word does
    r'|^ | $| (?= )'  # blanks that would be lost
    r'|(?<=:)//|(?<=www)\.'  # addresses would become links
)
_FORMULA = '=', '+', '-', '@', '\t', '\r', "'"


def python_literal(value: Any) -> str:
    """An expression that a config of MMEngine reads as this value.

    MMEngine replaces ``{{ ... }}`` in the text of a config before it parses it, inside
    strings and comments too, and what it puts there can end the string. So no two
    opening braces follow each other in what this writes.

    Args:
        value: None, bool, int, float, str, bytes, range, and lists, tuples, sets and
            mappings of these. Of anything else, its text is written.

    Returns:
        str: On one line.
    """
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, str):
        return _without_double_braces(str.__repr__(value))
    if isinstance(value, bytes):
        return _without_double_braces(bytes.__repr__(value))
    if isinstance(value, int):
        # Python refuses to read and write more decimal digits than 4,300
        return int.__repr__(value) if value.bit_length() < 10_000 else hex(value)
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else f"float('{value}')"
    if isinstance(value, range):
        return repr(value)
    if isinstance(value, Mapping):
        return _mapping(value)
    # the last comma is where yapf breaks the lines, and makes a tuple of one
    items = ''.join(f'{python_literal(item)}, ' for item in _items(value))
    if isinstance(value, list):
        return f'[{items}]'
    if isinstance(value, tuple):
        return f'({items})'
    if isinstance(value, (set, frozenset)):
        return f'{{{items}}}' if value else 'set()'
    return python_literal(str(value))


def python_assignments(values: Mapping) -> str:
    """Lines of a config that give variables these values, in the order of the names.

    Args:
        values (Mapping): By name. One that Python takes for no name is assigned all
            the same, and MMEngine finds it.
    """
    lines = []
    for name, value in _in_order(values):
        target = name if _is_name(name) else f'globals()[{python_literal(name)}]'
        lines.append(f'{target} = {python_literal(value)}\n')
    return ''.join(lines)


def python_comment(text: object) -> str:
    """A line of comment: MMEngine replaces ``{{ ... }}`` in these as well.

    Args:
        text: Anything; its ``str`` is taken.
    """
    return f'# {re.sub("{(?={)", "{ ", printable(text))}'


def read_assignments(text: str) -> dict[str, Any]:
    """Read what :func:`python_assignments` writes; nothing in it is run.

    Args:
        text (str): Of a config, from a checkpoint for instance: assignments of numbers,
            texts, None, and lists, tuples, sets and dicts of these, ``dict(a=1)`` too.

    Returns:
        dict[str, Any]: Values by name.

    Raises:
        ValueError: If it holds anything else, with the line.
    """
    try:
        statements = ast.parse(text).body
        return {_target(x): _value(x.value) for x in statements}
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f'it is not Python, or nested too deeply ({error})') from error


def _target(statement):
    """The name that a statement assigns to."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case ast.Assign(
            targets=[
                ast.Subscript(
                    value=ast.Call(func=ast.Name(id='globals'), args=[], keywords=[]),
                    slice=ast.Constant(value=str(name)),
                )
            ]
        ):
            return name
    raise ValueError(f'line {statement.lineno} is not an assignment to a name')


def _value(node):
    match node:
        case ast.Constant(value=value) if value is not Ellipsis:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return -node.operand.value
        case ast.List(elts=items):
            return [_value(x) for x in items]
        case ast.Tuple(elts=items):
            return tuple(_value(x) for x in items)
        case ast.Set(elts=items):
            return _hashable(node, set, [_value(x) for x in items])
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = [(_value(k), _value(v)) for k, v in zip(keys, values)]
            return _hashable(node, dict, pairs)
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=pairs):
            if all(pair.arg for pair in pairs):
                return {pair.arg: _value(pair.value) for pair in pairs}
        case ast.Call(func=ast.Name(id='set'), args=[], keywords=[]):
            return set()
        case ast.Call(
            func=ast.Name(id='float'),
            args=[ast.Constant(value='inf' | '-inf' | 'nan' as number)],
            keywords=[],
        ):
            return float(number)
    raise ValueError(f'line {node.lineno} holds something else than values')


def _hashable(node, kind, items):
    try:
        return kind(items)
    except TypeError as error:
        raise ValueError(f'line {node.lineno}: {error}') from error


def _items(value):
    return value if isinstance(value, (list, tuple, set, frozenset)) else ()


def _mapping(value):
    items = _in_order(value)
    if all(map(_is_name, value)):
        return f'dict({", ".join(f"{k}={python_literal(v)}" for k, v in items)})'
    pairs = (f'{python_literal(k)}: {python_literal(v)}' for k, v in items)
    return f'{{{", ".join(pairs)}}}'


def _in_order(mapping):
    return sorted(mapping.items(), key=lambda item: str(item[0]))


def _is_name(key):
    return (
        isinstance(key, str)
        and key.isidentifier()
        and not iskeyword(key)
        and key == unicodedata.normalize('NFKC', key)  # as Python reads names
    )


def _without_double_braces(text):
    return text.replace('{{', '{\\x7b')


def printable(text: object) -> str:
    """Text of one line for people: what controls a terminal becomes visible.

    Args:
        text: Anything; its ``str`` is taken.

    Returns:
        str: With control characters, line breaks and bytes that are not UTF-8 as in
        Python's ``repr``.
    """
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def printable_lines(text: object) -> str:
    """The same for a text of several lines, which stay, as do tabs."""
    return re.sub(r'[^\n\t]+', lambda found: printable(found[0]), str(text))


def markdown_text(text: object) -> str:
    """Text in a heading, a cell of a table, or a line that began, without any markup.

    Args:
        text: Anything; it is shown as :func:`printable` makes it.
    """
    return _MARKDOWN.sub(
        lambda found: ''.join(f'&#{ord(c)};' for c in found[0]), printable(text)
    )


def markdown_link(text: object, target: str) -> str:
    """A link to a page of the web or to a file; never to a script.

    Args:
        text: What is shown.
        target (str): URL with http or https; anything else is a path.
    """
    if re.match(r'https?://', target):
        target = quote(target, safe="/:?#@!$&+,;=%~'", errors='surrogateescape')
    else:
        target = re.sub('^/+', '/', target)  # two would begin the name of a host
        target = quote(target, safe='/', errors='surrogateescape')
    return f'[{markdown_text(text)}]({target})'


def csv_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula.

    Args:
        value: Texts that begin like a formula get a ``'`` in front, as spreadsheets
            write them themselves; everything else stays as it is.
    """
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
