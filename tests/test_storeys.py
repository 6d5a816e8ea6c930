"""A folder of the package imports only from what stands below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.base

PACKAGE = 'mmaction_videomambapro'
GROUND = (
    'compat', 'configs', 'errors', 'files', 'literals', 'registry', 'safe_load',
    'safe_pickle', 'safe_yaml', 'threads', 'utils',
)  # fmt: skip
# from below; what shares a storey, as the modules of the ground, may import each other
STOREYS = (
    GROUND, ('ops',), ('models',), ('datasets',), ('checkpoints',), ('evaluation',),
    ('visualization',), ('engine',), ('explain', 'deploy'), ('zoo',), ('apis',),
    ('diagnosis', '__main__', '__init__'),
)  # fmt: skip
HEIGHTS = {name: height for height, names in enumerate(STOREYS) for name in names}


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Line and name of all modules of the package that a file imports.

    Wherever: in functions, for types only, and by names in strings and f-strings, of
    which ``{__name__}`` and ``{__package__}`` are filled in.
    """
    *folders, stem = path.relative_to(root).with_suffix('').parts
    package = '.'.join([PACKAGE, *folders])
    name = package if stem == '__init__' else f'{package}.{stem}'
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split('.')[: len(folders) + 2 - node.level]
            above = above if node.level else []
            source = '.'.join([*above, *filter(None, [node.module])])
            found = [f'{source}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ('import_module', '__import__', 'find_spec', 'run_module')
        ):
            text = ast.unparse(node.args[0]).strip('f').strip('\'"')
            text = text.replace('{__name__}', name).replace('{__package__}', package)
            found = [f'{package}{text}' if text.startswith('.') else text]
        else:
            continue
        for target in found:
            if f'{target}.'.startswith(f'{PACKAGE}.'):
                yield node.lineno, target if '.' in target else f'{target}.__init__'


def upward(root: Path) -> list[str]:
    """Imports from a lower storey of a package to a higher one."""
    found = []
    for path in sorted(root.rglob('*.py')):
        own = path.relative_to(root).with_suffix('').parts[0]
        for line, target in imports(path, root):
            # what is not a module is of __init__, such as __version__
            other = HEIGHTS.get(target.split('.')[1], HEIGHTS['__init__'])
            if HEIGHTS[own] < other:
                found.append(f'{path.relative_to(root)}:{line} imports {target}')
    return found


def test_every_module_has_its_storey():
    names = {path.stem for path in (ROOT / PACKAGE).glob('*.py')}
    names |= {path.parent.name for path in (ROOT / PACKAGE).glob('*/__init__.py')}
    assert names <= set(HEIGHTS)


def test_no_import_runs_up():
    assert upward(ROOT / PACKAGE) == []


@pytest.mark.parametrize(
    ('file', 'line'),
    [
        ('models/layers/mixer.py', 'from ...datasets.lists import read_list'),
        ('models/layers/mixer.py', 'from ... import datasets'),
        ('models/__init__.py', 'from ..zoo import check'),
        ('datasets/lists.py', f'def read():\n    from {PACKAGE}.engine import checks'),
        ('datasets/lists.py', f'import {PACKAGE}.apis.cli as cli'),
        ('ops/naive.py', 'if TYPE_CHECKING:\n    from ..models import VideoMamba'),
        ('engine/hooks/hook.py', f"importlib.import_module('{PACKAGE}.zoo.check')"),
        ('errors.py', "import_module(f'{__package__}.files.{name}.x') or __import__("
         f"'{PACKAGE}.ops')"),
        ('errors.py', 'from . import diagnosis'),
        ('zoo/check.py', f'from {PACKAGE} import __version__'),
        ('zoo/check.py', f'import {PACKAGE}'),
    ],
)  # fmt: skip
def test_a_planted_import_is_found(tmp_path, file, line):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'"""Planted."""\n\nimport os\n\n{line}\n')
    (found,) = upward(tmp_path)
    assert found.startswith(f'{file}:')


def test_imports_down_and_beside_are_left_alone(tmp_path):
    (tmp_path / 'engine').mkdir()
    (tmp_path / 'engine' / 'checks.py').write_text(
        'from ..models.layers import position\n'
        'from ..errors import UsageError\n'
        'from . import process\n'
        'from .hooks.resume_hook import ResumeHook\n'
        'import mmengine, zoo\n'
        f"importlib.import_module('{PACKAGE}.ops.cpu')\n"
    )
    assert upward(tmp_path) == []
