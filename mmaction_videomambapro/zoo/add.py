"""Adds a measured row: every number is read from a file, none is typed."""

from __future__ import annotations

from copy import deepcopy
from os import PathLike
from pathlib import Path

from ..configs import read_config
from ..errors import UsageError
from ..evaluation.logs import read_scalars
from ..evaluation.results import accuracies, load_results
from ..files import sha256
from .evidence import check_predictions, check_weights, read_test_set
from .metadata import is_recipe, type_name
from .metafiles import Zoo

LOGGED = 'Training Memory (GB)', 'Training Time (h)'


def add(
    zoo: Zoo,
    config: str | PathLike,
    checkpoint: str | PathLike,
    result: str | PathLike,
    log: str | PathLike | None = None,
    options: dict | None = None,
) -> dict:
    """Add a row, or measure an existing one again.

    Args:
        zoo (Zoo): Gets the row; nothing is saved.
        config (str | PathLike): The config that was tested.
        checkpoint (str | PathLike): The checkpoint that was tested.
        result (str | PathLike): What ``tools/test.py --dump`` wrote.
        log (str | PathLike, optional): Work directory of the training.
            Defaults to None.
        options (dict, optional): The config keys that said where the list of the test
            set was. Defaults to None.

    Returns:
        dict: The entry.

    Raises:
        UsageError: If a file is missing, the config cannot be used, the checkpoint does
            not fit its model, or the predictions are not from its model and test set.
        ResultError: If ``result`` has no predictions.
    """
    cfg = read_config(config)
    if not is_recipe(cfg):
        raise UsageError(f'{config} is not of a classifier with a test_dataloader')
    if not Path(checkpoint).is_file():
        raise UsageError(f'checkpoint {checkpoint} does not exist')
    results = load_results(result)
    test_set = _test_set(cfg, options)
    for faults in (check_weights(checkpoint, cfg),
                   check_predictions(results, cfg, test_set)):  # fmt: skip
        for fault in faults:
            raise UsageError(f'{config} gets no row: {fault}')
    entry = _entry(zoo, zoo.relative(config), type_name(cfg.model.backbone))
    zoo.measure(entry, cfg)
    broken = sum(int(r['gt_label']) == -1 for r in results)
    entry['Results'] = [{
        'Dataset': entry['Metadata']['Training Data'],
        'Task': 'Action Recognition',
        'Metrics': accuracies(results),
        'Samples': len(results),
        **({'Broken Samples': broken} if broken else {}),
        'Predictions': zoo.relative(result),
        'Predictions SHA-256': sha256(result),
        'Annotations': zoo.relative(test_set.ann_file),
        'Annotations SHA-256': test_set.sha256,
    }]  # fmt: skip
    link = entry.get('Weights', '')
    if '://' not in link or Path(link).name != Path(checkpoint).name:
        entry.pop('Converted From', None)
        entry['Weights'] = zoo.relative(checkpoint)
    entry['Weights SHA-256'] = sha256(checkpoint)
    if log is not None:
        entry['Metadata'].update(training_cost(log))
        entry['Training Log'] = zoo.relative(log)
    return entry


def _test_set(cfg, options):
    where = deepcopy(cfg)
    where.merge_from_dict(options or {})
    test_set = read_test_set(where)
    if test_set is None:
        ann_file = where.test_dataloader.dataset.get('ann_file')
        raise UsageError(
            f'the list {ann_file} of the test set does not exist, '
            'so the predictions cannot be compared with it: add '
            '--cfg-options test_dataloader.dataset.ann_file=LIST as in the test'
        )
    return test_set


def training_cost(log: str | PathLike) -> dict[str, float]:
    """Peak memory of a process, if it used a GPU, and the total time of all steps.

    Args:
        log (str | PathLike): Work directory, with ``*/vis_data/scalars.json``.

    Returns:
        dict[str, float]: With the keys :data:`LOGGED`.

    Raises:
        UsageError: If it has no training log.
    """
    train, _ = read_scalars(log)
    memory = max((s.get('memory', 0) for s in train.values()), default=0)
    hours = previous = 0
    for step in sorted(train):  # each entry has the mean of the steps before it
        hours += (step - previous) * train[step].get('time', 0) / 3600
        previous = step
    found = round(memory / 1024, 1), round(hours, 2)
    return {key: value for key, value in zip(LOGGED, found) if value}


def _entry(zoo, config, kind):
    for _, entry in zoo.entries():
        if entry['Config'] == config:
            return entry
    if config.startswith('..'):  # outside: nothing can be placed beside it
        return zoo.make_entry(f'{kind.lower()}.yml', config)
    metafile = (Path(config).parent / 'metafile.yml').as_posix()
    entry = zoo.make_entry(metafile, config)
    zoo.complete(metafile)  # a new metafile covers the other configs too
    return entry
