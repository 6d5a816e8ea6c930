"""Reads configs; what is wrong with one becomes a :class:`UsageError`."""

from __future__ import annotations

import os
import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from .errors import UsageError


def read_config(
    path: str | os.PathLike, name: str | None = None, custom: bool = True
) -> Config:
    """``Config.fromfile``, whose failures become a :class:`UsageError`.

    Args:
        path (str | PathLike): The config.
        name (str, optional): What errors call it. Defaults to None, its path.
        custom (bool): Whether to import its ``custom_imports``. Defaults to True.
    """
    name = name or f'config file {path}'
    if not osp.isfile(path):
        raise UsageError(f'{name} does not exist')
    try:
        return Config.fromfile(path, import_custom_modules=custom)
    except Exception as e:  # a config is a program: anything can go wrong in it
        reason = ' '.join(f'{type(e).__name__}: {e}'.split())
        raise UsageError(f'{name} cannot be read: {reason}') from e


def merge_options(cfg: Config, options: dict[str, Any]) -> None:
    """``cfg.merge_from_dict``, whose failures become a :class:`UsageError`."""
    try:
        cfg.merge_from_dict(options)
    except Exception as error:  # keys that lead nowhere fail in many ways
        reason = ' '.join(str(error).split())
        shown = ' '.join(f'{key}={value}' for key, value in options.items())
        raise UsageError(f'--cfg-options {shown} does not fit: {reason}') from error


def dicts_in(node: Any, key: str) -> Iterator[tuple[str, dict]]:
    """Yield every dictionary in a part of a config with its key, outer ones first.

    Args:
        node (Any): The part.
        key (str): Its key, such as ``'model'``; an item of a list has its index in it.
    """
    if isinstance(node, dict):
        yield key, node
    elif isinstance(node, (list, tuple)):
        node = dict(enumerate(node))
    else:
        return
    for name, child in list(node.items()):
        yield from dicts_in(child, f'{key}.{name}')
