"""The zoo on disk: an index, metafiles beside the configs, and their tables."""

from __future__ import annotations

import os
import os.path as osp
import re
from collections.abc import Iterator
from functools import cached_property
from numbers import Real
from pathlib import Path

import yaml
from mmengine.config import Config

from ..configs import read_config
from ..errors import UsageError
from ..files import replacing
from ..safe_yaml import read_yaml
from .metadata import FACTS, facts, initial_checkpoint, is_recipe, type_name
from .pages import pages, readme_of
from .references import Reference, load_references
from .tables import fill_in

INDEX = 'model-index.yml'
NAMES = {'Name', 'Config', 'In Collection'}
NEEDED = {
    'Architecture', 'Training Data', 'Frame', 'Sampling method', 'Resolution',
    'Testing protocol', 'Parameters', 'FLOPs',
}  # fmt: skip
METADATA = {
    **dict.fromkeys(('Epochs', 'Batch Size', 'Frame', 'Parameters'), int),
    **dict.fromkeys(('FLOPs', 'Projection FLOPs'), int),
    **dict.fromkeys(('Architecture', 'Pretrained', 'Training Data'), str),
    **dict.fromkeys(('Sampling method', 'Testing protocol'), str),
    'Resolution': re.compile(r'\d{1,9}(x\d{1,9})?'),
}
RESULT = {'Metrics': {...: Real}, 'Predictions': str, 'Predictions SHA-256': str}
ENTRY = {
    **dict.fromkeys(('Reference', 'Weights', 'Weights SHA-256', 'Training Log'), str),
    **dict.fromkeys(NAMES, str),
    'Metadata': (METADATA, None),
    'Results': ([RESULT], None),
}
METAFILE = {'Collections': [{'Name': str, 'README': str}], 'Models': ([ENTRY], None)}
NOTE = '# tools/model_zoo.py writes this file, and checks what is added by hand.\n'


class Zoo:
    """A folder with ``model-index.yml`` and the metafiles that it imports.

    The formats are OpenMMLab's, which mim reads. Entries have additional keys:
    ``Reference`` names a row of ``published.yml`` beside the metafile, ``Weights
    SHA-256`` is the checkpoint's hash, and a result also has its ``Samples`` and
    ``Predictions``.

    Args:
        root (str | PathLike): The folder; paths in metafiles are relative to it.
        create (bool): Whether the zoo may be empty. Defaults to False.

    Raises:
        UsageError: If a file is damaged.
        OSError: If a file is missing.
    """

    def __init__(self, root: str | os.PathLike, create: bool = False) -> None:
        self.root = Path(root)
        self.metafiles: dict[str, dict] = {}
        if create and not (self.root / INDEX).exists():
            return
        for name in read_yaml(self.root / INDEX, {'Import': [str]}).get('Import', ()):
            content = read_yaml(self.root / name, METAFILE)
            if not {'Collections', 'Models'} <= set(content):
                raise UsageError(f'{self.root / name} lacks Collections or Models')
            content['Models'] = content['Models'] or []
            for entry in content['Models']:
                if not set(entry) >= NAMES:
                    raise UsageError(
                        f'{self.root / name}: an entry lacks one of {sorted(NAMES)}'
                    )
            self.metafiles[name] = content

    def entries(self) -> Iterator[tuple[str, dict]]:
        """Entries of all models, each with its metafile."""
        for metafile, content in self.metafiles.items():
            for entry in content['Models']:
                yield metafile, entry

    @cached_property
    def references(self) -> dict[str, Reference]:
        """References of all metafiles together."""
        rows = {}
        for metafile in self.metafiles:
            path = (self.root / metafile).with_name('published.yml')
            try:
                rows.update(load_references(path))
            except KeyError as error:
                raise UsageError(f'{path} lacks {error.args[0]}') from error
        return rows

    def unlisted(self) -> Iterator[tuple[str, str]]:
        """Configs beside metafiles without an entry, each with its metafile.

        Configs that cannot have a row, such as those of pre-training, need no entry.
        """
        listed = {entry['Config'] for _, entry in self.entries()}
        for metafile in self.metafiles:
            for path in sorted((self.root / metafile).parent.glob('*.py')):
                if self.relative(path) not in listed and _can_have_row(path):
                    yield metafile, self.relative(path)

    def relative(self, path: str | os.PathLike) -> str:
        """A path as metafiles write it."""
        return Path(osp.relpath(path, self.root)).as_posix()

    def path(self, name: str) -> Path:
        """Location of something that a metafile names."""
        return Path(osp.normpath(self.root / name))

    def update(self) -> None:
        """Add missing entries, and bring the others up to date.

        Raises:
            UsageError: If a config cannot be read or its model cannot be built, or if
                results were measured with a different version of the config.
        """
        for metafile, config in list(self.unlisted()):
            self.make_entry(metafile, config)
        masked = {}
        for _, entry in self.entries():
            cfg = read_config(self.path(entry['Config']))
            masked[entry['Name']] = is_masked(entry['Name'], cfg)
            before = entry.get('Metadata') or {}
            self.measure(entry, cfg)
            for key in FACTS:
                now = entry['Metadata'].get(key)
                if entry.get('Results') and now != before.get(key):
                    raise UsageError(
                        f'{entry["Name"]} has results that were measured with {key} '
                        f'{before.get(key)}, but its config says {now}: test it again '
                        'and add it, or restore the config'
                    )
        for row in self.references.values():
            agreeing = [
                entry for _, entry in self.entries()
                if not row.disagreements(entry['Metadata'], masked[entry['Name']])
            ]  # fmt: skip
            if len(agreeing) == 1:
                refer(agreeing[0], row)

    def complete(self, metafile: str) -> None:
        """Add the entries that a metafile lacks, except for broken configs."""
        for other, config in list(self.unlisted()):
            if other != metafile:
                continue
            models = self.metafiles[metafile]['Models']
            before = list(models)
            try:
                cfg = read_config(self.path(config))
                self.measure(self.make_entry(metafile, config), cfg)
            except UsageError:  # reported by "check"
                models[:] = before

    def make_entry(self, metafile: str, config: str) -> dict:
        """Add an entry with what its config says.

        Args:
            metafile (str): Gets the entry; created if necessary.
            config (str): Its path, as metafiles write it.

        Returns:
            dict: The entry.

        Raises:
            UsageError: If it is not clear which collection the model belongs to.
        """
        kind = type_name(read_config(self.path(config)).model.backbone)
        new = dict(Collections=[dict(Name=kind, README=readme_of(metafile))], Models=[])
        content = self.metafiles.setdefault(metafile, new)
        collections = [c['Name'] for c in content['Collections']]
        if len(collections) > 1 and kind not in collections:
            raise UsageError(
                f'{config} has a {kind}, but {metafile} has no collection of that '
                'name: add the collection, or an entry of the config that names one'
            )
        entry = {
            'Name': Path(config).stem,
            'Config': config,
            'In Collection': kind if kind in collections else collections[0],
            'Metadata': {},
            'Modality': 'RGB',
        }
        content['Models'].append(entry)
        content['Models'].sort(key=lambda entry: entry['Name'])
        return entry

    def measure(self, entry: dict, cfg: Config) -> None:
        """Update what an entry says about its config."""
        path = self.path(entry['Config'])
        given = entry.get('Metadata') or {}
        others = {key: value for key, value in given.items() if key not in FACTS}
        try:
            entry['Metadata'] = {**facts(path, cfg), **others}
        except UsageError as error:
            raise UsageError(f'{path}: {error}') from error

    def tables(self) -> dict[Path, str]:
        """Files with tables, and the text that each has to contain.

        Raises:
            UsageError: If an entry lacks a value that the tables show.
        """
        for metafile, entry in self.entries():
            missing = sorted(NEEDED - set(entry.get('Metadata') or {}))
            if missing:
                raise UsageError(
                    f'{metafile}, {entry["Name"]}: Metadata lacks '
                    f'{", ".join(missing)}; tools/model_zoo.py update adds it'
                )
        return {
            self.root / name: fill_in(self.root / name, text, title)
            for name, (title, text) in pages(self.metafiles, self.references).items()
        }

    def save(self) -> None:
        """Write the index, metafiles and tables that differ from those on disk."""
        contents = {
            self.root / name: NOTE + _dump(content)
            for name, content in self.metafiles.items()
        }
        contents[self.root / INDEX] = _dump({'Import': list(self.metafiles)})
        contents.update(self.tables())
        for path, text in contents.items():
            if not path.is_file() or path.read_bytes() != text.encode():
                with replacing(path) as file:
                    file.write(text)


def _can_have_row(path: Path) -> bool:
    """Whether a config has a classifier that is tested, or cannot be read."""
    try:
        return is_recipe(read_config(path))
    except UsageError:
        return True


def is_masked(name: str, cfg: Config) -> bool:
    """Whether a config starts from pre-training by masked alignment."""
    return 'mask' in name or 'mask' in (initial_checkpoint(cfg) or '')


def refer(entry: dict, row: Reference) -> None:
    """Give an entry its reference and, unless it has its own, the linked weights."""
    entry['Reference'] = row.name
    if row.weights and 'Weights' not in entry:
        entry['Weights'] = row.weights
        entry['Converted From'] = dict(Weights=row.weights, Code=row.code)


def _dump(content):
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
