"""The purpose for which a checkpoint is loaded, passed from runner to model.

MMEngine has no argument for it on that way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from mmengine.runner import BaseLoop

from .classes import class_names, names_in
from .state_dicts import MismatchError, state_dict_in, summary


@dataclass
class Loading:
    """The purpose for which a checkpoint is loaded.

    Attributes:
        file (str, optional): Its name, for errors.
        complete (bool): Whether every weight is needed, as in tests and resuming.
        fine_tuning (bool): Whether it starts a training, where a head may be fresh.
        here (list[str], optional): Class names of the data.
        there (list[str], optional): Class names of the checkpoint.
        wrap (bool): Whether bare weights have to be wrapped as ``state_dict``.
        fitted (bool): Whether it was already fitted, and this was logged.
    """

    file: str | None = None
    complete: bool = False
    fine_tuning: bool = False
    here: list[str] | None = None
    there: list[str] | None = None
    wrap: bool = False
    fitted: bool = False

    @property
    def classes(self) -> tuple | None:
        """Class names of both sides, if both have them."""
        return (self.there, self.here) if self.there and self.here else None


_LOADING: ContextVar[Loading | None] = ContextVar('loading', default=None)


def current() -> Loading | None:
    """The current purpose, if one is set."""
    return _LOADING.get()


@contextmanager
def loading(file: str | PathLike | None = None, **purpose: Any) -> Iterator[None]:
    """Set the purpose for readers and fitters, and prefix errors with the file name.

    Args:
        file (str | PathLike, optional): The checkpoint. Defaults to None.
        **purpose: Attributes of :class:`Loading`; the others keep their values from
            the surrounding context.
    """
    if file is not None:
        purpose['file'] = str(file)
    token = _LOADING.set(replace(_LOADING.get() or Loading(), **purpose))
    try:
        yield
    except MismatchError as error:
        if file is None or str(error).startswith(f'{file}: '):
            raise
        raise MismatchError(f'{file}: {error}') from None
    finally:
        _LOADING.reset(token)


def purpose_of(runner: Any) -> dict[str, Any]:
    """What a runner is about to do with its checkpoint, for :func:`loading`.

    The loop that it has built shows this; before that, it may be anything.
    """
    for kind in ('train', 'test', 'val'):
        loop = getattr(runner, f'_{kind}_loop', None)
        if isinstance(loop, BaseLoop):
            training = kind == 'train'
            if training and runner._resume:
                return dict(complete=True, wrap=True)
            here = names_in(getattr(loop.dataloader.dataset, 'metainfo', None))
            return dict(
                complete=not training, fine_tuning=training, here=here, wrap=True
            )
    return dict(wrap=True)


def read(content: Any, file: str) -> Mapping[str, Any]:
    """Check what was read from a file before it is used.

    Args:
        content (Any): The content of the file.
        file (str): Its name.

    Returns:
        Mapping: The content, with its weights as ``state_dict`` if they were wrapped
        differently.

    Raises:
        MismatchError: See :func:`state_dict_in`.
    """
    with loading(file):
        state_dict = state_dict_in(content)
        if 'ema_state_dict' in content:
            state_dict_in(content, 'raw')
    purpose = _LOADING.get()
    if purpose:
        purpose.there = class_names(content)
    meta = content.get('meta')
    random = meta.get('random_weights') if isinstance(meta, Mapping) else None
    if purpose and purpose.complete and isinstance(random, list):
        raise MismatchError(
            f'{file}: weights are random, because tools/checkpoints/convert.py '
            f'--no-strict found none: {summary(map(str, random))}. Train it first'
        )
    if state_dict is content:  # FlexibleRunner knows no other form
        return dict(state_dict=content) if purpose and purpose.wrap else content
    if content.get('state_dict') is state_dict:
        return content
    return {**content, 'state_dict': state_dict}
