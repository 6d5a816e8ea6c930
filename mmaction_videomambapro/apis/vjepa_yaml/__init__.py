"""Experiment files of V-JEPA, and of Video Mamba JEPA, as configs of MMEngine."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping

from mmengine.config import Config

from ...configs import read_config
from ...errors import UsageError
from ...files import refuse_same, replacing
from ...literals import python_comment, python_literal
from .keys import read_experiment
from .pretraining import pretraining
from .probes import PROBES, probe

BASE = 'mmaction_videomambapro::_base_/default_runtime.py'


def convert_experiment(
    experiment: Mapping, name: str = 'experiment', base: str = BASE
) -> tuple[str, list[str]]:
    """Translate an experiment of V-JEPA or V-JEPA 2 into a config.

    Pre-trainings, cool-downs, and probes of videos and of images (those with
    ``eval_name``).
    Rates, decays and the moving average follow the same curves, in updates; what is
    known as a fault there is not repeated: with accumulation, schedules count updates,
    and no layer is dropped in pre-training. Masks are made equally long by
    ``'truncate'``, as in V-JEPA. State-space models become VideoMambas with tokens of
    the predictor in raster order.

    Args:
        experiment (Mapping): Of :func:`read_experiment`.
        name (str): Of the file, for messages. Defaults to 'experiment'.
        base (str): Config to inherit hooks and the like from.
            Defaults to the default runtime.

    Returns:
        tuple[str, list[str]]: Text of the config, and keys of the experiment that have
        no meaning here.

    Raises:
        UsageError: If keys are unknown or missing, all of them; if a value is wrong or
            has no counterpart.
    """
    try:
        config, ignored = translate(experiment)
    except UsageError as e:
        raise UsageError(f'{name}: {e}') from e
    lines = [
        python_comment(
            f'From {osp.basename(name)}. On its cluster: tools/submit.py '
            f'--nodes {experiment["nodes"]} '
            f'--tasks-per-node {experiment["tasks_per_node"]}'
        ),
        *(python_comment(f'Ignored, has no meaning here: {key}') for key in ignored),
        f'_base_ = {python_literal(base)}',
        '',
        Config(config).pretty_text.strip(),
        '',
    ]
    return '\n'.join(lines), ignored


def write_config(source: str, destination: str, base: str = BASE) -> list[str]:
    """Translate an experiment file, and read the config back before it appears.

    Args:
        source (str): The experiment file; it stays as it is.
        destination (str): The config, ``.py``.
        base (str): As for :func:`convert_experiment`. Defaults to the default runtime.

    Returns:
        list[str]: Keys of the experiment that have no meaning here.

    Raises:
        UsageError: As :func:`convert_experiment` does; or if the destination is
            the source, or would not be read as a config of these values.
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
    """Make sure that what was written is read as these values."""
    cfg = read_config(path, f'config file {name}')
    merged = cfg.copy()
    merged.merge_from_dict(config)
    if merged.to_dict() != cfg.to_dict():
        raise UsageError(f'{name} would be read as other values than the experiment')


def translate(experiment: Mapping) -> tuple[dict, list[str]]:
    """The config of :func:`convert_experiment` as a dictionary, without the base."""
    if 'eval_name' not in experiment:
        values, config = pretraining(experiment)
    elif experiment['eval_name'] in PROBES:
        values, config = probe(experiment)
    else:
        raise UsageError(
            f'eval_name is {experiment["eval_name"]!r}, expected one of '
            f'{", ".join(PROBES)}: others, as the anticipation of actions, have no '
            'counterpart here'
        )
    return config, values.ignored()
