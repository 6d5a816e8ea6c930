"""Builds the pages and the reference: ``make docs``."""

import ast
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = 'mmaction_videomambapro'
sys.path.insert(0, str(ROOT))

import mmaction_videomambapro  # noqa: E402  patches upstream before it is imported

project = PACKAGE
author = copyright = f'The {PACKAGE} contributors'
version = release = mmaction_videomambapro.__version__

# Sources are those of the whole repository, so that links between pages hold.
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon',
              'sphinx.ext.mathjax', 'sphinx.ext.viewcode']  # fmt: skip
root_doc = 'docs/index'
include_patterns = ['*.md', 'docs/**', 'configs/*/*/README.md', 'configs/README.md']
exclude_patterns = ['README_zh-CN.md']
myst_heading_anchors = 3
suppress_warnings = [
    'myst.xref_missing',  # of links to folders and code; tests/test_readme.py has them
]

autodoc_default_options = {
    'members': True,
    'undoc-members': True,
    'ignore-module-all': True,  # names are described where they are defined
}
autodoc_member_order = 'bysource'
autodoc_mock_imports = ['mmpretrain']
autodoc_typehints = 'none'  # docstrings have them
napoleon_use_ivar = True

html_theme = 'furo'
html_title = PACKAGE

FOLDERS = {
    'ops': 'The scan and the convolution',
    'models': 'Networks, and what trains them',
    'datasets': 'Lists, datasets, decoders and transforms',
    'evaluation': 'Metrics',
    'engine': 'Hooks, optimizers and schedules',
    'checkpoints': 'Checkpoints of others and of ours',
    'visualization': 'Pictures',
    'explain': 'Why a model answers as it does',
    'deploy': 'Models outside of PyTorch',
    'zoo': 'The model zoo',
    'apis': 'What tools call',
    'compat': 'Patches of the OpenMMLab stack',
    'ground': 'Files and safe reading',
}


def write_reference(_app=None):
    """Write a page for each folder of the package, with all its modules."""
    out = ROOT / 'docs' / 'reference'
    out.mkdir(exist_ok=True)
    pages = {folder: [] for folder in FOLDERS}
    for path in sorted((ROOT / PACKAGE).rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        if parts[-1] == '__main__' or '.mim' in parts:
            continue
        folder = parts[1] if len(parts) > 2 else 'ground'
        name = '.'.join(part for part in parts if part != '__init__')
        pages[folder].append((name, path))
    for folder, modules in pages.items():
        if modules:
            (out / f'{folder}.rst').write_text(_page(FOLDERS[folder], modules))


def _page(title, modules):
    parts = [title, '=' * len(title), '']
    for name, path in modules:
        if path.name == '__init__.py' and not _defines(path):
            continue
        heading = name.removeprefix(f'{PACKAGE}.')
        parts += [heading, '-' * len(heading), '', f'.. automodule:: {name}', '']
        if 'mmpretrain' in path.read_text():  # mocked: decorated methods are unknown
            parts.insert(-1, '   :exclude-members: forward')
    return '\n'.join(parts)


def _defines(path):
    """Whether a module has functions or classes of its own."""
    body = ast.parse(path.read_text()).body
    return any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in body)


def escape_stars(_app, _what, _name, _object, _options, lines):
    """Take the stars of arguments, as in (*more, n), for stars."""
    lines[:] = [
        re.sub(r'(?<=[(, ])\*(?=\w)', r'\\*', line) if '`' not in line else line
        for line in lines
    ]


def skip_values(_app, _what, _name, member, _skip, _options):
    """Leave out fields without a text of their own: their class describes them."""
    described = inspect.isroutine(member) or inspect.isclass(member)
    return None if described or isinstance(member, property) else True


def setup(app):
    """Write the reference before Sphinx looks for pages."""
    app.connect('builder-inited', write_reference)
    app.connect('autodoc-skip-member', skip_values)
    app.connect('autodoc-process-docstring', escape_stars)
