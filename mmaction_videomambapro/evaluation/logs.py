"""Reads the scalars that a run has logged."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from ..errors import UsageError


def read_scalars(work_dir: str | PathLike) -> tuple[dict[int, dict], dict[int, dict]]:
    """Read training scalars by iteration and validation scalars by epoch.

    A resumed run continues the ones before it, and what it repeated replaces their
    values. A run that began from the start replaces them all. Lines damaged by a full
    disk or a kill are skipped.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise UsageError(
            f'{work_dir} has no */vis_data/scalars.json: is it the work directory '
            'of a training run?'
        )
    train, val = {}, {}
    for file in files:
        lines = file.read_text(errors='replace').splitlines()
        logged = [scalars for scalars in map(_scalars, lines) if scalars]
        begin = next((scalars for scalars in logged if 'loss' in scalars), None)
        if begin:  # drop what this run repeats, or all if it was not resumed
            train = {k: v for k, v in train.items() if k < begin['step']}
            place = begin.get('epoch', begin['step'])
            val = {k: v for k, v in val.items() if k < place}
        for scalars in logged:
            (train if 'loss' in scalars else val)[scalars['step']] = scalars
    return train, val


def _scalars(line: str) -> dict | None:
    """What a line of ``scalars.json`` says, if it is complete."""
    try:
        scalars = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(scalars, dict) and isinstance(scalars.get('step'), int)
    return scalars if whole else None
