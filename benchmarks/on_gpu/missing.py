"""What a stage cannot do without, and stand-ins for what it can do without."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from unittest.mock import MagicMock

SKIPPED = 77  # the exit code
NEEDED = 'torch', 'triton', 'numpy', 'wrapt'
MODEL = 'mmengine', 'mmcv', 'mmaction', 'cv2', 'scipy', 'einops'
SUITE = (*MODEL, 'av', 'pytest', 'hypothesis')
NEEDED_BY = {'model': MODEL, 'tests': SUITE, 'autotune': SUITE}


def without(*modules: str) -> list[str]:
    """Those of them that are not installed."""
    return [name for name in modules if find_spec(name) is None]


def skip_without(*modules: str) -> None:
    if missing := without(*modules):
        skip(f'not installed: {", ".join(missing)}')


def skip(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.exit(SKIPPED)


def stand_in() -> None:
    """For what is imported along the way, where it is not installed.

    The scan takes one function of MMEngine, which prints. Importing a model imports
    readers of videos, which take PyAV.
    """
    if without('mmengine'):
        logging = ModuleType('mmengine.logging')
        logging.print_log = lambda *args, **kwargs: None
        sys.modules['mmengine.logging'] = logging
    if without('av'):
        sys.meta_path.append(NoVideos())


class NoVideos:
    """Finds modules of PyAV that hold whatever is asked for."""

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'av':
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Anything(spec.name)

    def exec_module(self, module):
        pass


class _Anything(ModuleType):
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return MagicMock()
