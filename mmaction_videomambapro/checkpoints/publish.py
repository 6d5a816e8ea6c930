"""Turns a training checkpoint into one for release."""

from __future__ import annotations

import io
from datetime import date
from hashlib import sha256
from os import PathLike
from pathlib import Path

import torch

from ..files import replacing
from ..safe_load import CheckpointError, safe_load
from .loading import loading
from .state_dicts import check_values, state_dict_in


def publish(
    checkpoint: str | PathLike, out: str | PathLike, weights: str | None = None
) -> Path:
    """Keep the weights and their notes, and name the file by its hash.

    Args:
        checkpoint (str | PathLike): A checkpoint that MMEngine saved.
        out (str | PathLike): Folder and name; date and hash are added, as in
            ``NAME_20261121-0123abcd.pth``.
        weights (str, optional): With an EMAHook, ``'ema'`` for the averaged weights,
            which were validated, or ``'raw'`` for the others. Defaults to the
            validated ones.

    Returns:
        Path: The file.

    Raises:
        CheckpointError: If the file does not exist, lacks these weights, or has NaN
            or infinity among them.
    """
    if not Path(checkpoint).is_file():
        raise CheckpointError(f'checkpoint {checkpoint} does not exist')
    content = safe_load(checkpoint, map_location='cpu')
    if not isinstance(content, dict) or 'state_dict' not in content:
        raise CheckpointError(
            f'{checkpoint} has no state_dict: MMEngine did not save it'
        )
    averages = 'ema_state_dict' in content
    if weights == 'ema' and not averages:
        raise CheckpointError(f'{checkpoint} has no averaged weights: no EMAHook ran')
    with loading(checkpoint):
        # EMAHook saves the averaged weights as state_dict
        raw = weights == 'raw' and averages
        state = state_dict_in(content, 'raw' if raw else 'ema')
        check_values(state)
    # a slice of a larger tensor would be saved with all of it
    state = {
        key: value.clone() if isinstance(value, torch.Tensor) else value
        for key, value in state.items()
    }
    buffer = io.BytesIO()
    torch.save(dict(meta=content.get('meta', {}), state_dict=state), buffer)
    data = buffer.getvalue()
    name = Path(out).name.removesuffix('.pth')
    digest = sha256(data).hexdigest()[:8]
    path = Path(out).with_name(f'{name}_{date.today():%Y%m%d}-{digest}.pth')
    with replacing(path, 'wb') as file:
        file.write(data)
    return path
