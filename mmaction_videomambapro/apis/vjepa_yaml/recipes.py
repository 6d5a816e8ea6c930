"""The recipes in ``configs/_base_`` that experiments start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict

from ...configs import read_config
from ...literals import python_literal

FOLDER = 'mmaction_videomambapro::_base_'
HERE = Path(__file__).parents[2] / '.mim/configs/_base_'
WIDTH = 88


def recipe(name: str) -> ConfigDict:
    """A copy of ``configs/_base_/<name>.py``, to be changed."""
    return deepcopy(_read(name))


@cache
def _read(name):
    # by its path: what is inherited from a package gets the package's scope
    return ConfigDict(read_config(HERE / f'{name}.py').to_dict())


def inherit(config: Mapping, names: Sequence[str]) -> tuple[list[str], dict]:
    """The bases of a config, of some recipes, and what differs from them.

    MMEngine cannot delete a top-level key of a base. So a recipe is not inherited if it
    has one that the config lacks.
    """
    inherited, bases = {}, []
    for name in names:
        base = recipe(name)
        if set(base) <= set(config):
            inherited.update(base)
            bases.append(f'{FOLDER}/{name}.py')
    return bases, difference(inherited, config)


def difference(base: Any, config: Any) -> Any:
    """What a config that inherits ``base`` has to say to become ``config``."""
    if not isinstance(config, Mapping):
        return config
    if not isinstance(base, Mapping) or set(base) - set(config):
        return {'_delete_': True, **config}
    return {
        key: difference(base[key], value) if key in base else value
        for key, value in config.items()
        if key not in base or value != base[key]
    }


def assignments(config: Mapping) -> str:
    """Python code of a config, in which a value is written once."""
    lines, seen = [], []
    for key, value in config.items():
        same = [k for k, v in seen if v == value and isinstance(v, dict)]
        code = same[0] if same else _code(value, len(key) + 3)
        lines.append(f'{key} = {code}\n')
        seen.append((key, value))
    return ''.join(lines)


def _code(value, before, indent=4):
    """An expression on one line, if it fits after so many characters."""
    if isinstance(value, dict):
        start, end = 'dict(', ')'
        parts = [(f'{key}=', below) for key, below in value.items()]
    elif isinstance(value, (list, tuple)):
        start, end = '[]' if isinstance(value, list) else '()'
        parts = [('', below) for below in value]
    else:
        return python_literal(value)
    items = [
        f'{name}{_code(below, indent + len(name), indent + 4)}' for name, below in parts
    ]
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    line = f'{start}{", ".join(items)}{comma}{end}'
    if '\n' not in line and before + len(line) < WIDTH:
        return line
    inner, outer = ' ' * indent, ' ' * (indent - 4)
    return f'{start}\n' + ''.join(f'{inner}{x},\n' for x in items) + f'{outer}{end}'
