"""Write values so that readers cannot mistake them for code or markup.

Names of files, folders and classes, and values from other people's files, can contain
anything: quotes, braces, pipes, line breaks, bytes that are not UTF-8.
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
    r'[^\w .,;:()/+%\'"?=-]'  # everything that could be markup within a line
    r'|(?<![^\W_])_'  # an underscore starts emphasis only at the start of a word
    r'|^ | $| (?= )'  # spaces that would be lost
    r'|(?<=:)//|(?<=www)\.'  # addresses would become links
)
_FORMULA = '=', '+', '-', '@', '\t', '\r', "'"


def python_literal(value: Any) -> str:
    """Write a value as an expression that an MMEngine config reads back.

    MMEngine replaces ``{{ ... }}`` in the text of a config before it parses it, inside
    strings and comments too, and the replacement can end the string. So the expression
    never has two opening braces in a row.

    Args:
        value: None, bool, int, float, str, bytes, range, and lists, tuples, sets and
            mappings of these. Anything else is written as its ``str``.

    Returns:
        str: The expression, on one line.
    """
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, str):
        return _without_double_braces(str.__repr__(value))
    if isinstance(value, bytes):
        return _without_double_braces(bytes.__repr__(value))
    if isinstance(value, int):
        # Python does not read or write more than 4,300 decimal digits
        return int.__repr__(value) if value.bit_length() < 10_000 else hex(value)
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else f"float('{value}')"
    if isinstance(value, range):
        return repr(value)
    if isinstance(value, Mapping):
        return _mapping(value)
    # the trailing comma makes tuples of one, and yapf breaks lines there
    items = value if isinstance(value, (list, tuple, set, frozenset)) else ()
    items = ''.join(f'{python_literal(item)}, ' for item in items)
    if isinstance(value, list):
        return f'[{items}]'
    if isinstance(value, tuple):
        return f'({items})'
    if isinstance(value, (set, frozenset)):
        return f'{{{items}}}' if value else 'set()'
    return python_literal(str(value))


def python_assignments(values: Mapping) -> str:
    """Write config lines that assign values to variables, sorted by name.

    Args:
        values (Mapping): Values by name. Names that are not Python identifiers are
            assigned as well, in a way that MMEngine finds.
    """
    lines = []
    for name, value in _in_order(values):
        target = name if _is_name(name) else f'globals()[{python_literal(name)}]'
        lines.append(f'{target} = {python_literal(value)}\n')
    return ''.join(lines)


def python_comment(text: object) -> str:
    """Write a comment line in which MMEngine has no ``{{ ... }}`` to replace.

    Args:
        text: Anything; its ``str`` is used.
    """
    return f'# {re.sub("{(?={)", "{ ", printable(text))}'


def read_assignments(text: str) -> dict[str, Any]:
    """Read what :func:`python_assignments` writes, without executing it.

    Args:
        text (str): Text of a config, for example from a checkpoint: assignments of
            numbers, strings, None, and lists, tuples, sets and dicts of these,
            including ``dict(a=1)``.

    Returns:
        dict[str, Any]: Values by name.

    Raises:
        ValueError: If the text contains anything else; it names the line.
    """
    try:
        statements = ast.parse(text).body
        return {name: _value(node) for name, node in map(_assignment, statements)}
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f'it is not Python, or nested too deeply ({error})') from error


def _assignment(statement):
    """The name that a statement assigns to, and the node of the value."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.Assign(
            targets=[
                ast.Subscript(
                    value=ast.Call(func=ast.Name(id='globals'), args=[], keywords=[]),
                    slice=ast.Constant(value=str(name)),
                )
            ],
            value=value,
        ):
            return name, value
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
    raise ValueError(f'line {node.lineno} contains something other than values')


def _hashable(node, kind, items):
    try:
        return kind(items)
    except TypeError as error:
        raise ValueError(f'line {node.lineno}: {error}') from error


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
    """Make text safe to print on one line of a terminal.

    Args:
        text: Anything; its ``str`` is used.

    Returns:
        str: The text, with control characters, line breaks and bytes that are not UTF-8
        escaped as in Python's ``repr``.
    """
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def printable_lines(text: object) -> str:
    """Make text safe to print, as :func:`printable`, but keep line breaks and tabs."""
    return re.sub(r'[^\n\t]+', lambda found: printable(found[0]), str(text))


def markdown_text(text: object) -> str:
    """Escape text for a heading, a table cell or the middle of a line of Markdown.

    Args:
        text: Anything; it is shown as :func:`printable` writes it.
    """
    return _MARKDOWN.sub(
        lambda found: ''.join(f'&#{ord(c)};' for c in found[0]), printable(text)
    )


def markdown_link(text: object, target: str) -> str:
    """Write a Markdown link to a web page or a file, never to a script.

    Args:
        text: The text to show.
        target (str): A URL with http or https; anything else is a path.
    """
    if re.match(r'https?://', target):
        target = quote(target, safe="/:?#@!$&+,;=%~'", errors='surrogateescape')
    else:
        target = re.sub('^/+', '/', target)  # two slashes would start a host name
        target = quote(target, safe='/', errors='surrogateescape')
    return f'[{markdown_text(text)}]({target})'


def csv_cell(value: object) -> object:
    """Make a CSV cell that spreadsheets do not read as a formula.

    Args:
        value: A string that begins like a formula gets a ``'`` in front, as
            spreadsheets write it themselves; anything else is returned unchanged.
    """
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
