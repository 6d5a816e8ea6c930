"""Patches for configs and for options on the command line."""

import ast
import re
from contextlib import suppress
from functools import lru_cache

from ..literals import python_assignments
from . import patch
from .helpers import replace


@patch(
    'mmengine.config.utils',
    symptom="_base_='mmaction_videomambapro::...' is refused as an unknown package",
    until='mmengine resolves any installed package, not a fixed list of 19',
    issue='open-mmlab/mmengine#1410',
)
def _unknown_package(utils):
    utils.MODULE2PACKAGE['mmaction_videomambapro'] = 'mmaction_videomambapro'


@patch(
    'mmengine.config.config',
    symptom='a saved config runs code that stands in its values, or cannot be read',
    until='Config.dump escapes {{ }} and keys, and writes infinities as Python does',
)
def _saved_configs_run(config):
    @property
    def pretty_text(self):
        """The config as Python code."""
        text = python_assignments(self.to_dict())
        with suppress(Exception):  # what yapf cannot format is still readable
            if self._format_python_code:
                text = formatted(text)
        return text

    @lru_cache(8)  # each checkpoint asks for it, and yapf takes a third of a second
    def formatted(text):
        from yapf.yapflib.yapf_api import FormatCode

        style = dict(
            based_on_style='pep8', split_before_expression_after_opening_paren=True
        )
        return FormatCode(text, style_config=style)[0]

    config.Config.pretty_text = pretty_text

    @replace(config.Config, 'dump')
    def dump(original, self, file=None):
        name = str(file or self.filename or '.py')
        escaped = '{\\x7b' in python_assignments(self.to_dict())
        if escaped and not name.endswith('.py'):
            raise ValueError(
                f'{name} would change when it is read: a value has two opening braces, '
                'where MMEngine puts variables. Save the config as .py.'
            )
        return original(self, file)


@patch(
    'mmengine.config.config',
    symptom='a folder whose name runs code in configs that mention {{ fileDirname }}',
    until='mmengine escapes the path of a config where it puts it into the text',
)
def _paths_in_configs_run(config):
    @replace(config.Config, '_substitute_predefined_vars')
    def substitute_predefined_vars(original, filename, temp_config_name):
        with open(filename, encoding='utf-8') as file:
            variable = re.search(r'\{\{\s*file(Dirname|Basename|Extname)', file.read())
        if variable and (not filename.isprintable() or set(filename) & set('\'"{}')):
            raise ValueError(
                f'{filename!r} mentions file{variable[1]}, its own path, which has '
                'characters that end a config string: rename the file or its folder'
            )
        return original(filename, temp_config_name)


@patch(
    'mmengine.fileio.handlers.yaml_handler',
    symptom='a YAML file can run code: mmengine.load, Config.fromfile, metafiles',
    until='mmengine reads YAML with a safe loader',
)
def _yaml_runs(yaml_handler):
    import yaml

    class Loader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):
        """Loads only values, and the tuples that mmengine.dump writes."""

    Loader.add_constructor(
        'tag:yaml.org,2002:python/tuple',
        lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
    )
    yaml_handler.Loader = Loader


@patch(
    'mmengine.config.config',
    symptom='RecursionError with --cfg-options custom_hooks="[dict(type=EMAHook)]"',
    until='DictAction reads dictionaries, and refuses what it cannot read',
)
def _dictionaries_in_options(config):
    @replace(config.DictAction, '_parse_iterable')
    def _parse_iterable(original, value):
        return _as_python(value) if 'dict(' in value else original(value)

    @replace(config.DictAction, '__call__')
    def __call__(original, self, parser, namespace, values, option_string=None):
        try:
            original(self, parser, namespace, values, option_string)
        except (AssertionError, RecursionError, SyntaxError, ValueError):
            parser.error(
                f'argument {option_string}: {" ".join(values)} cannot be read: '
                'expected KEY=VALUE, where a value is a number, a word, a list [a,b] '
                'or a dictionary dict(type=Name,key=1), without blanks'
            )


def _as_python(text):
    """A value of lists, ``dict(...)`` and literals; unquoted words are strings."""

    def read(node):
        if isinstance(node, (ast.List, ast.Tuple)):
            kind = list if isinstance(node, ast.List) else tuple
            return kind(read(item) for item in node.elts)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
            if node.args or any(item.arg is None for item in node.keywords):
                raise ValueError('dict() takes KEY=VALUE')
            return {item.arg: read(item.value) for item in node.keywords}
        if isinstance(node, ast.Dict):
            return {read(k): read(v) for k, v in zip(node.keys, node.values)}
        if isinstance(node, (ast.Name, ast.Attribute)):
            word = ast.unparse(node)
            return word.lower() == 'true' if word.lower() in ('true', 'false') else word
        return ast.literal_eval(node)

    return read(ast.parse(text.strip('\'" '), mode='eval').body)
