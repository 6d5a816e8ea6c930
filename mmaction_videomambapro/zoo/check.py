"""Everything that can be wrong with the zoo, found without running a model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from mmengine.config import Config

from ..configs import read_config
from ..errors import UsageError
from ..evaluation.results import ResultError, accuracies, load_results
from ..files import sha256
from .add import LOGGED, training_cost
from .evidence import check_predictions, check_weights, read_test_set
from .metadata import FACTS, facts, is_recipe
from .metafiles import Zoo, is_masked

SOURCES = {
    'Metrics', 'Predictions', 'Predictions SHA-256', 'Annotations',
    'Annotations SHA-256',
}  # fmt: skip


def check(zoo: Zoo) -> list[str]:
    """Find rows that are wrong, or might be.

    A config has to exist, to have an entry of its name, and to build. What can be
    measured has to be true. Accuracies need recorded predictions, checkpoints and
    lists, and have to agree with them where these are available. Checkpoints and
    predictions have to come from the config's model and that list. References have to
    be about the same model, data and clips. No two rows may share predictions,
    checkpoints, references or accuracies. Tables have to match the metafiles.

    Args:
        zoo (Zoo): The zoo.

    Returns:
        list[str]: All faults, each with its location.
    """
    faults = [
        f'{metafile}: {config} has no entry' for metafile, config in zoo.unlisted()
    ]
    for metafile, content in zoo.metafiles.items():
        for collection in content['Collections']:
            readme = collection.get('README')
            if readme and not zoo.path(readme).is_file():
                faults.append(f'{metafile}: {readme} does not exist')
    for metafile, entry in zoo.entries():
        where = f'{metafile}, {entry["Name"]}'
        cfg = _read(zoo, entry)
        found = chain(
            _config(zoo, metafile, entry, cfg),
            _results(zoo, entry, cfg),
            _weights(zoo, entry, cfg),
        )
        faults += [f'{where}: {fault}' for fault in found]
    faults += _shared(zoo)
    try:
        expected = zoo.tables()
    except UsageError as error:
        return [*faults, str(error)]
    for path, text in expected.items():
        if not path.is_file() or path.read_text(encoding='utf-8') != text:
            faults.append(
                f'{zoo.relative(path)}: its tables are not those of the metafiles'
            )
    return faults


def unseen(zoo: Zoo) -> list[str]:
    """Names of the sources of rows that are not available for comparison."""
    found = []
    for _, entry in zoo.entries():
        for result in entry.get('Results') or []:
            files = [result.get('Predictions'), result.get('Annotations')]
            files.append(entry.get('Weights'))
            found += [
                f'{entry["Name"]}: {file}'
                for file in files
                if isinstance(file, str) and not zoo.path(file).is_file()
            ]
    return found


def _read(zoo, entry):
    """The config of an entry, or None if it is broken, which is reported elsewhere."""
    try:
        cfg = read_config(zoo.path(entry['Config']))
    except UsageError:
        return None
    return cfg if is_recipe(cfg) else None


def _config(zoo: Zoo, metafile: str, entry: dict, cfg: Config | None) -> Iterator[str]:
    """Faults of the config, and of what the entry says about it."""
    collections = {c['Name'] for c in zoo.metafiles[metafile]['Collections']}
    if entry['In Collection'] not in collections:
        yield f'In Collection is {entry["In Collection"]}, which does not exist'
    path = zoo.path(entry['Config'])
    if not path.is_file():
        yield f'{entry["Config"]} does not exist'
        return
    if entry['Name'] != path.stem:
        yield f'its config is called {path.stem}'
    try:
        cfg = cfg or read_config(path)
        true = facts(path, cfg)
    except UsageError as error:
        yield str(error)
        return
    metadata = entry.get('Metadata') or {}
    for key in FACTS:
        if metadata.get(key) != true.get(key):
            yield f'{key} is {true.get(key)}, not {metadata.get(key)}'
    known = {*FACTS, *LOGGED}
    for key, value in metadata.items():
        if isinstance(value, (int, float)) and key not in known:
            yield f'{key} {value} has no source'
    if 'Reference' in entry:
        yield from _reference(zoo, entry, is_masked(path.stem, cfg))


def _reference(zoo, entry, masked):
    row = zoo.references.get(entry['Reference'])
    if row is None:
        yield f'Reference {entry["Reference"]} is in no published.yml'
        return
    for reason in row.disagreements(entry.get('Metadata') or {}, masked):
        yield f'Reference {row.name} is about something else: {reason}'


def _results(zoo: Zoo, entry: dict, cfg: Config | None) -> Iterator[str]:
    """Faults of the measured numbers."""
    for result in entry.get('Results') or []:
        missing = SOURCES - set(result)
        if missing or 'Weights SHA-256' not in entry:
            missing = sorted(missing) or ['Weights SHA-256']
            yield f'a result without a source: {", ".join(missing)} is missing'
            continue
        yield from _predictions(zoo, result, cfg)
    metadata = entry.get('Metadata') or {}
    logged = {key: metadata[key] for key in LOGGED if key in metadata}
    if 'Training Log' not in entry:
        yield from (f'{key} {value} has no source' for key, value in logged.items())
    elif zoo.path(entry['Training Log']).is_dir():
        try:
            true = training_cost(zoo.path(entry['Training Log']))
        except UsageError as error:
            yield str(error)
            return
        if logged != true:
            yield f'its training took {true}, not {logged}'


def _predictions(zoo, result, cfg):
    test_set = None
    if cfg is not None and zoo.path(str(result['Annotations'])).is_file():
        dataset = cfg.get('test_dataloader', {}).get('dataset', {})
        dataset['ann_file'] = str(zoo.path(result['Annotations']).absolute())
        try:
            test_set = read_test_set(cfg)
        except UsageError as error:
            yield str(error)
            return
        if test_set.sha256 != result['Annotations SHA-256']:
            yield f'{result["Annotations"]} is not the list that was tested'
            return
        if result.get('Samples') != len(test_set.labels):
            yield f'Samples is {len(test_set.labels)}, not {result.get("Samples")}'
    path = zoo.path(result['Predictions'])
    if not path.is_file():
        return  # large files stay where they were made
    if sha256(path) != result['Predictions SHA-256']:
        yield f'{result["Predictions"]} is not the file that was measured'
        return
    try:
        results = load_results(path)
        true = accuracies(results)
    except ResultError as error:
        yield str(error)
        return
    if result.get('Samples') != len(results):
        yield f'Samples is {len(results)}, not {result.get("Samples")}'
    for key in {*true, *result['Metrics']}:
        if result['Metrics'].get(key) != true.get(key):
            yield f'{key} is {true.get(key)}, not {result["Metrics"].get(key)}'
    if cfg is not None:
        yield from check_predictions(results, cfg, test_set)


def _weights(zoo: Zoo, entry: dict, cfg: Config | None) -> Iterator[str]:
    """Faults of the checkpoint."""
    weights, recorded = entry.get('Weights'), entry.get('Weights SHA-256')
    if weights is None:
        if recorded:
            yield 'Weights SHA-256 without Weights'
        return
    reference = zoo.references.get(entry.get('Reference', ''))
    if 'Converted From' in entry and (not reference or weights != reference.weights):
        yield f'Weights {weights} are not those of its Reference'
    named = re.search(r'-([0-9a-f]{8})\.pth$', weights)
    if recorded and named and not recorded.startswith(named[1]):
        yield f'Weights {weights} and Weights SHA-256 disagree'
    if '://' in weights:
        return
    if not zoo.path(weights).is_file():
        yield f'{weights} does not exist'
    elif sha256(zoo.path(weights)) != recorded:
        yield f'{weights} is not the checkpoint that was tested'
    elif cfg is not None:
        yield from check_weights(zoo.path(weights), cfg)


def _shared(zoo: Zoo) -> Iterator[str]:
    """Faults of rows that share what should belong to only one of them."""
    owners = defaultdict(list)
    for _, entry in zoo.entries():
        name = entry['Name']
        owners[f'the name {name}'].append(name)
        for key in ('Config', 'Weights', 'Reference', 'Training Log'):
            if key in entry:
                owners[f'{key} {entry[key]}'].append(name)
        for result in entry.get('Results') or []:
            owners[f'predictions {result.get("Predictions SHA-256")}'].append(name)
            # a single equal number can be chance
            if len(result.get('Metrics') or {}) > 1:
                owners[f'accuracies {result["Metrics"]}'].append(name)
    for what, names in owners.items():
        if len(names) > 1:
            yield f'{" and ".join(names)} have the same: {what}'
