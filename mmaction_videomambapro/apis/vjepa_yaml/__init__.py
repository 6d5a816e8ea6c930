"""Translates experiment files of V-JEPA and Video Mamba JEPA into MMEngine configs."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping, Sequence

from mmengine.config import ConfigDict

from ...configs import read_config
from ...errors import UsageError
from ...files import refuse_same, replacing
from ...literals import python_comment
from .keys import PROBES, read_experiment
from .pretraining import pretraining
from .probes import probe
from .recipes import assignments, inherit

BASE = 'mmaction_videomambapro::_base_/default_runtime.py'


def convert_experiment(
    experiment: Mapping, name: str = 'experiment', base: str = BASE
) -> tuple[str, list[str]]:
    """Translate an experiment of V-JEPA or V-JEPA 2 into a config.

    The config inherits the recipe in ``configs/_base_`` and says what differs. Known
    faults are not repeated: with accumulation, schedules count updates, and no layer
    is dropped in pre-training. State-space models become VideoMambas whose predictor
    has its tokens in raster order.

    Args:
        experiment (Mapping): From :func:`read_experiment`.
        name (str): Name of the file, for messages. Defaults to 'experiment'.
        base (str): Config from which hooks and other settings are inherited.
            Defaults to the default runtime.

    Returns:
        tuple[str, list[str]]: Text of the config, and keys of the experiment that have
        no meaning here.

    Raises:
        UsageError: If keys are unknown or missing (all of them are listed), or if a
            value is wrong or has no counterpart.
    """
    try:
        config, recipes, ignored = translate(experiment)
    except UsageError as e:
        raise UsageError(f'{name}: {e}') from e
    bases, changes = inherit(config, recipes)
    lines = [
        python_comment(
            f'From {osp.basename(name)}. On its cluster: tools/submit.py '
            f'--nodes {experiment["nodes"]} '
            f'--tasks-per-node {experiment["tasks_per_node"]}'
        ),
        *(python_comment(f'Ignored, has no meaning here: {key}') for key in ignored),
        assignments(dict(_base_=[*bases, base])),
        assignments(changes),
    ]
    return '\n'.join(lines), ignored


def write_config(source: str, destination: str, base: str = BASE) -> list[str]:
    """Translate an experiment file, and read the config back before it is put in place.

    Args:
        source (str): The experiment file; it is not changed.
        destination (str): The config, ``.py``.
        base (str): As for :func:`convert_experiment`. Defaults to the default runtime.

    Returns:
        list[str]: Keys of the experiment that have no meaning here.

    Raises:
        UsageError: As for :func:`convert_experiment`; also if the destination is
            the source, or would not be read back with these values.
    """
    if not destination.endswith('.py'):
        raise UsageError(f'{destination} does not end in .py, as configs do')
    refuse_same(source, destination)
    experiment = read_experiment(source)
    text, ignored = convert_experiment(experiment, source, base)
    with replacing(destination) as file:
        file.write(text)
        file.flush()
        _check_written(file.name, destination, translate(experiment)[0])
    return ignored


def _check_written(path, name, config):
    """Make sure that the written config is read back with these values."""
    cfg = read_config(path, f'config file {name}')
    merged = cfg.copy()
    merged.merge_from_dict(config)
    if merged.to_dict() != cfg.to_dict():
        raise UsageError(f'{name} would be read as other values than the experiment')


def translate(experiment: Mapping) -> tuple[dict, Sequence[str], list[str]]:
    """The whole config, recipes that it may inherit, and keys without a meaning."""
    if 'eval_name' not in experiment:
        values, config, recipes = pretraining(experiment)
    elif experiment['eval_name'] in PROBES:
        values, config, recipes = probe(experiment)
    else:
        raise UsageError(
            f'eval_name is {experiment["eval_name"]!r}, expected one of '
            f'{", ".join(PROBES)}: others, as the anticipation of actions, have no '
            'counterpart here'
        )
    return ConfigDict(config).to_dict(), recipes, values.ignored()
