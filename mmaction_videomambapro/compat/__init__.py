"""The faults of today's OpenMMLab stack that this package patches.

A patch is applied the moment its module is imported, so declaring one imports nothing
heavy. Patches that need nothing of this package but its ground are in this folder,
those of a feature beside it, in its ``patches.py`` or with its class. They change
classes in place, as configs may name the class itself and not its registered name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import wrapt

PATCHES: list[Patch] = []


@dataclass
class Patch:
    """A patch of another library.

    Attributes:
        module (str): The module to patch when it is imported.
        function (Callable): Takes that module; returns False if there is no fault.
        symptom (str): What a user sees without the patch.
        until (str): The condition under which the patch can be deleted.
        issue (str): Where upstream is told of the fault, 'none known' if nowhere.
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
        *modules (str): The function gets each of them.
        **facts (str): ``symptom``, ``until`` and ``issue`` of :class:`Patch`.
    """

    def declare(function):
        for module in modules:
            declared = Patch(module, function, **facts)
            PATCHES.append(declared)
            wrapt.register_post_import_hook(declared.apply, module)
        return function

    return declare
