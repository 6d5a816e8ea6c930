"""The config that a checkpoint carries as text, which a stranger may have written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config

from ..literals import read_assignments
from ..registry import CHILDREN
from .state_dicts import MismatchError

# Where a registry finds no name it imports a dotted path, whatever that is
_SCOPES = 'mmaction|mmcv|mmengine|mmpretrain'
_NAMES = {
    'type': re.compile(rf'(?:(?:{_SCOPES})\.)?[A-Za-z_]\w*'),
    '_scope_': re.compile(_SCOPES),
}
_FROM_FILES = 'init_cfg', 'pretrained'  # weights come from the checkpoint itself
_KEPT = 'model', 'test_pipeline', 'test_dataloader', 'val_dataloader'


def config_in(content: Mapping[str, Any]) -> Config:
    """Read the config in a checkpoint as data: nothing in it is executed or imported.

    Args:
        content (Mapping): The content of a checkpoint that MMEngine saved.

    Returns:
        Config: Its model and test data, without paths of initial weights.

    Raises:
        MismatchError: If it has no config, or one that needs code.
    """
    text = _text(content)
    if text is None:
        raise MismatchError(
            'there is no config in the checkpoint, so the model is unknown; give the '
            'config, or its name in the model zoo, as well'
        )
    try:
        cfg = read_assignments(text)
    except ValueError as error:
        raise MismatchError(
            f'the config in the checkpoint is not plain data: {error}'
        ) from error
    cfg = {key: _without_files(cfg[key]) for key in _KEPT if key in cfg}
    if not isinstance(cfg.get('model'), dict):
        raise MismatchError('the config in the checkpoint has no model')
    check_names(cfg, 'the config in the checkpoint')
    return Config(cfg)


def check_names(node: Any, source: str) -> None:
    """Refuse data in which a registry would look up anything but a registered class.

    Args:
        node (Any): Plain data from a file.
        source (str): What errors call it.

    Raises:
        MismatchError: If a name could make a registry import a module.
    """
    for key, name in _type_names(node):
        plain = isinstance(name, str) and _NAMES[key].fullmatch(name)
        if not plain or (key == 'type' and _is_module(name)):
            raise MismatchError(
                f'{source} has {key}={name!r:.60}, which is not the name of a '
                'registered class'
            )


def _is_module(name):
    """Whether a name without dots is that of a module, which would be imported."""
    if '.' in name or any(name in x.parent.module_dict for x in CHILDREN):
        return False
    try:
        return find_spec(name) is not None
    except ValueError:  # __main__
        return True


def _text(content):
    hub, meta = content.get('message_hub'), content.get('meta')
    info = hub.get('runtime_info') if isinstance(hub, Mapping) else None
    for place in (info, meta):
        text = place.get('cfg') if isinstance(place, Mapping) else None
        if isinstance(text, str):
            return text
    return None


def _without_files(node):
    if isinstance(node, dict):
        return {k: _without_files(v) for k, v in node.items() if k not in _FROM_FILES}
    if isinstance(node, (list, tuple)):
        return type(node)(map(_without_files, node))
    return node


def _type_names(node: Any) -> Iterator[tuple[str, Any]]:
    """Everything that a registry would look up."""
    if isinstance(node, dict):
        yield from ((key, node[key]) for key in _NAMES if key in node)
        node = node.values()
    if not isinstance(node, str) and hasattr(node, '__iter__'):
        for item in node:
            yield from _type_names(item)
