"""Patches for faults in today's OpenMMLab stack.

A patch is applied the moment its module is imported, so declaring one imports nothing
heavy. Patches that need only the base of this package are in this folder; those of a
feature are next to it, in its ``patches.py`` or with its class. They change classes in
place, because configs may name the class itself instead of its registered name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import wrapt

PATCHES: list[Patch] = []


@dataclass
class Patch:
    """A patch for another library.

    Attributes:
        module (str): The module to patch when it is imported.
        function (Callable): Takes that module; returns False if the fault is absent.
        symptom (str): What a user sees without the patch.
        until (str): The condition under which the patch can be deleted.
        issue (str): The upstream report of the fault, or 'none known'.
        state (str): 'waiting' for the import, 'patched', or 'absent'.
    """

    module: str
    function: Callable[[ModuleType], bool | None]
    symptom: str
    until: str
    issue: str = 'none known'
    state: str = 'waiting'

    def apply(self, module: ModuleType) -> None:
        """Patch the module, once."""
        if self.state == 'waiting':
            self.state = 'absent' if self.function(module) is False else 'patched'


def patch(*modules: str, **facts: str) -> Callable:
    """Declare the decorated function as a patch of some modules.

    Args:
        *modules (str): The modules; the function is called with each of them.
        **facts (str): ``symptom``, ``until`` and ``issue`` of :class:`Patch`.
    """

    def declare(function):
        for module in modules:
            declared = Patch(module, function, **facts)
            PATCHES.append(declared)
            wrapt.register_post_import_hook(declared.apply, module)
        return function

    return declare
