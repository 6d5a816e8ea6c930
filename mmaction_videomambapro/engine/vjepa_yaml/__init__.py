"""Experiment files of V-JEPA, and of Video Mamba JEPA, as configs of MMEngine."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping

from mmengine.config import Config

from ..launch import UsageError
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
        f'# From {" ".join(osp.basename(name).split())}. On its cluster: '
        f'tools/submit.py --nodes {experiment["nodes"]} '
        f'--tasks-per-node {experiment["tasks_per_node"]}',
        *(f'# Ignored, has no meaning here: {key}' for key in ignored),
        f'_base_ = {base!r}',
        '',
        Config(config).pretty_text.strip(),
        '',
    ]
    return '\n'.join(lines), ignored


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
