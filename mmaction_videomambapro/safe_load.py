"""Load checkpoints without running code that hides in them."""

from __future__ import annotations

import argparse
import errno
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import IO, Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer


class CheckpointError(RuntimeError):
    """A file that can not be used as a checkpoint."""


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint names types that a checkpoint has no use for."""


def safe_load(
    file: str | PathLike | IO[bytes], map_location: Any = None, **_: Any
) -> Any:
    """``torch.load`` that builds tensors, numbers, containers and log buffers only.

    Args:
        file (str | PathLike | IO): A checkpoint, by path or opened.
        map_location: As in ``torch.load``. Defaults to None.
        **_: Other arguments of ``torch.load``, among them ``weights_only=False``,
            are ignored: there is no way to ask for unsafe loading.

    Returns:
        Any: The content.

    Raises:
        UnsafeCheckpointError: If the pickle refers to anything else, with the
            file, the types and what to do.
        CheckpointError: If the file is not a checkpoint, or is damaged.
    """
    is_path = isinstance(file, (str, PathLike))
    with safe_unpickling(str(file if is_path else getattr(file, 'name', file))):
        return torch.load(file, map_location=map_location, weights_only=True)


@contextmanager
def safe_unpickling(source: str) -> Iterator[None]:
    """Allow in ``torch.load(weights_only=True)`` what MMEngine's checkpoints hold.

    Args:
        source (str): File or URL, named in the errors.
    """
    try:
        with torch.serialization.safe_globals(_allowed()):
            yield
    except pickle.UnpicklingError as error:
        refused = _refused_type(str(error))
        if refused is None:
            raise CheckpointError(
                f'{source} can not be read as a checkpoint: it is damaged, cut short, '
                f'or of another kind. Check its size, or fetch it again.'
            ) from error
        raise UnsafeCheckpointError(
            f'{source} was refused: loading it would import or call {refused}, which '
            'no checkpoint of MMEngine contains and which may run code of whoever '
            'made the file. Get the weights from a source you trust, or, inside a '
            'sandbox, load the file with its own program and save only its '
            'state_dict with torch.save.'
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        if (
            'PytorchStreamReader' in str(error)
            or isinstance(error, EOFError)
            # torch seeks before the beginning of a file that was cut short
            or getattr(error, 'errno', None) == errno.EINVAL
        ):
            raise CheckpointError(
                f'{source} is damaged or cut short. Fetch it again.'
            ) from error
        raise


def _refused_type(message: str) -> str | None:
    """The type that torch's weights-only unpickler stumbled over."""
    for pattern in (
        r'Unsupported global: GLOBAL (\S+)',
        r'Unsupported class (\S+)',
        r'Trying to (?:call|instantiate).*?(?:function|class) (\S+)',
        r'Trying to load unsupported GLOBAL (\S+)',
    ):
        found = re.search(pattern, message)
        if found:
            return found[1].rstrip('.')
    return None


def _statistics_method(owner: type, name: str) -> Any:
    """Stands in for the ``getattr`` with which HistoryBuffers name their methods.

    The real one would let a pickle reach any attribute of any allowed object.
    """
    if owner is HistoryBuffer and name in HistoryBuffer._statistics_methods:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'Unsupported global: GLOBAL builtins.getattr({name})')


def _allowed() -> list:
    """What the log buffers in MMEngine's checkpoints are pickled with.

    And the arguments that the training programs of VideoMamba and VideoMAE save beside
    their weights: a Namespace holds attributes and does nothing.
    """
    HistoryBuffer()  # fills _statistics_methods
    core = np._core.multiarray
    allowed = [
        argparse.Namespace,
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        (_statistics_method, 'builtins.getattr'),
    ]
    for name in ('_reconstruct', 'scalar'):
        function = getattr(core, name)
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
            allowed.append((function, f'{module}.{name}'))
    kinds = [np.bool_, *np.sctypeDict.values()]
    kinds = {k for k in kinds if issubclass(k, (np.number, np.bool_))}
    return allowed + sorted({type(np.dtype(k)) for k in kinds}, key=repr)
