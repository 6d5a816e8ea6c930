"""Models of the zoo by their names."""

from __future__ import annotations

import difflib
import os.path as osp

from ..errors import UsageError
from .metafiles import INDEX, Zoo

PACKAGE = osp.dirname(osp.dirname(osp.abspath(__file__)))


def zoo_root() -> str:
    """The repository, or where an installed package keeps its copy.

    Raises:
        UsageError: If there is neither.
    """
    for root in (osp.dirname(PACKAGE), osp.join(PACKAGE, '.mim')):
        if osp.isfile(osp.join(root, INDEX)):
            return root
    raise UsageError(
        'this installation has no model zoo; install the package with pip, or work in '
        'a clone of the repository'
    )


def find_model(name: str) -> tuple[str, str | None]:
    """Find a model by its name, in any case.

    Args:
        name (str): Name of a config in the zoo, without ``.py``.

    Returns:
        tuple[str, str | None]: Path of the config, and URL of the weights if there are
        any.

    Raises:
        UsageError: If there is no such model; similar names are listed.
    """
    zoo = Zoo(zoo_root())
    entries = {entry['Name'].lower(): entry for _, entry in zoo.entries()}
    entry = entries.get(name.lower())
    if entry is None:
        similar = difflib.get_close_matches(name.lower(), entries, 3, 0.5)
        hint = f'; similar names: {", ".join(similar)}' if similar else ''
        raise UsageError(
            f'{name} is not a config file, a checkpoint or a model of the zoo{hint}'
        )
    return str(zoo.path(entry['Config'])), entry.get('Weights')
