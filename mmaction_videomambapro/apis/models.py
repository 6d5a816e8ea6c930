"""Which model is meant: by a config, by a name of the zoo, or by a checkpoint."""

from __future__ import annotations

import os
import os.path as osp
from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import _load_checkpoint

from ..checkpoints.config_text import config_in
from ..checkpoints.loading import loading
from ..configs import merge_options, read_config
from ..engine.checkpoints import newest_of
from ..errors import UsageError
from ..zoo.find import find_model


def resolve(
    model: str | os.PathLike | Config,
    weights: str | os.PathLike | None = None,
    options: dict[str, Any] | None = None,
) -> tuple[Config, dict[str, Any], str]:
    """Find the config and the weights of a model.

    Args:
        model (str | PathLike | Config): A config, its path, a name of the zoo, or a
            checkpoint: file, URL, or work directory. A checkpoint's own config is read
            as data.
        weights (str | PathLike, optional): Checkpoint. Defaults to None: that of the
            zoo, or ``model`` itself.
        options (dict, optional): Changes to the config by dotted keys.
            Defaults to None.

    Returns:
        tuple[Config, dict, str]: Config, content of the checkpoint, and its place.

    Raises:
        UsageError: If one of them is unknown or cannot be read.
    """
    cfg, place = None, None if weights is None else os.fspath(weights)
    if isinstance(model, (Config, dict)):
        cfg = model if isinstance(model, Config) else Config(model)
    else:
        model = os.fspath(model)
        if model.endswith(('.py', '.json', '.yaml', '.yml')):
            cfg = read_config(model)
        elif osp.exists(model) or '://' in model:
            place = place or model
        else:
            path, published = find_model(model)
            cfg, place = read_config(path), place or published
    if place is None:
        raise UsageError(
            f'{model if isinstance(model, str) else "the config"} needs weights: none '
            'are published for it, so name a checkpoint'
        )
    place = newest_of(place)
    if not osp.exists(place) and '://' not in place:
        raise UsageError(f'checkpoint {place} does not exist')
    content = _load_checkpoint(place, 'cpu', logger='silent')
    if cfg is None:
        with loading(place):
            cfg = config_in(content)
    if options:
        merge_options(cfg, options)
    if not cfg.get('model'):
        raise UsageError('the config has no model')
    return cfg, content, place
