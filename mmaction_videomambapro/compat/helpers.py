"""Tools with which patches change a module."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from itertools import accumulate
from types import ModuleType
from typing import Any

RUNNERS = 'mmengine.runner.runner', 'mmengine.runner._flexible_runner'


def runner_in(module: ModuleType) -> type:
    """The runner class of one of :data:`RUNNERS`."""
    return getattr(module, 'FlexibleRunner', None) or module.Runner


def replace(owner: Any, name: str) -> Callable:
    """Replace a function by the decorated one, which gets it as first argument.

    Args:
        owner (Any): A module, a class or an object.
        name (str): Name of the function or method; one without ``self`` stays so.
    """

    def install(function):
        original = getattr(owner, name)

        @wraps(original)
        def replaced(*args, **kwargs):
            return function(original, *args, **kwargs)

        kind = inspect.getattr_static(owner, name)
        bound = isinstance(kind, (classmethod, staticmethod))
        for place in (owner, *_packages_above(owner, name)):
            setattr(place, name, staticmethod(replaced) if bound else replaced)

    return install


def _packages_above(owner, name):
    """Packages that have already imported a function from its own module."""
    function = getattr(owner, name)
    if not isinstance(owner, ModuleType) or function.__module__ != owner.__name__:
        return []
    *above, _ = accumulate(owner.__name__.split('.'), '{}.{}'.format)
    packages = [sys.modules[package] for package in above]
    return [x for x in packages if getattr(x, name, None) is function]


def stand_in(module: ModuleType, **names: Any) -> ModuleType:
    """A module as another module should see it, with some names replaced."""
    seen = ModuleType(module.__name__)
    vars(seen).update(names, __getattr__=lambda name: getattr(module, name))
    return seen
