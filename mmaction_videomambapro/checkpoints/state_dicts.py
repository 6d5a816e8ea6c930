"""Finds the weights in a checkpoint, and refuses unusable ones."""

from __future__ import annotations

import re
import reprlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..safe_load import CheckpointError

WRAPPERS = ('state_dict', 'model', 'module')
MOST_WRAPPERS = 5  # a dictionary can hold itself
# One storage may have many views, as with tied weights, but not without limit.
MOST_PER_BYTE, FREE_BYTES = 10, 1 << 24


class MismatchError(CheckpointError):
    """A checkpoint without weights, or with weights that do not fit the model."""


def state_dict_in(content: Any, weights: str = 'ema') -> Mapping[str, Any]:
    """Unwrap the weights of a checkpoint.

    Args:
        content (Any): The content of a file.
        weights (str): 'ema' takes ``state_dict``, where MMEngine's EMAHook puts the
            averaged weights; 'raw' takes the live weights instead.
            Defaults to 'ema'.

    Returns:
        Mapping: Tensors by name, and any ``_extra_state`` that modules keep.

    Raises:
        MismatchError: If there are none, or no raw ones, or if something among them
            is not a tensor of numbers in memory.
    """
    if weights not in ('ema', 'raw'):
        raise ValueError(f"weights must be 'ema' or 'raw', but got {weights!r}")
    if not isinstance(content, Mapping):
        raise MismatchError(f'it is {_what(content)}, not a dictionary of weights')
    if weights == 'raw':
        state_dict = _raw_weights(content)
    else:
        state_dict = _innermost(content)
        if state_dict is None:
            keys = ', '.join(printable(key) for key in list(content)[:8]) or 'none'
            raise MismatchError(
                'there are no weights: no tensors by themselves, or in '
                f'{", ".join(WRAPPERS)}; its keys are {keys}'
            )
    _check_entries(state_dict)
    _check_memory(state_dict)
    return state_dict


def check_values(
    state_dict: Mapping[str, Any], own: Mapping[str, Tensor] | None = None
) -> None:
    """Refuse NaN, infinity, and numbers of a different kind than the model's.

    A model may itself have infinite values, as in a mask.

    Args:
        state_dict (Mapping): Tensors by name.
        own (Mapping, optional): Those of the model; tensors with other names are not
            checked. Defaults to None: all are, for NaN and infinity only.

    Raises:
        MismatchError: Names the first of them.
    """
    tensors = {k: v for k, v in state_dict.items() if isinstance(v, Tensor)}
    if own is not None:
        tensors = {k: v for k, v in tensors.items() if isinstance(own.get(k), Tensor)}
        kinds = {k: (_kind(v), _kind(own[k])) for k, v in tensors.items()}
        wrong = {
            k: f'{given} instead of {wanted}'
            for k, (given, wanted) in kinds.items()
            if given != wanted
        }
        if wrong:
            raise MismatchError(
                f'weights are numbers of another kind: {by_reason(wrong)}'
            )
    broken = [
        name
        for name, tensor in tensors.items()
        if not _finite(tensor) and (own is None or _finite(own[name]))
    ]
    if broken:
        raise MismatchError(
            f'NaN or infinity in {len(broken)} of {len(tensors)} weights: '
            f'{summary(broken, at_most=4)}. The training that saved them had failed: '
            'take an earlier checkpoint'
        )


def summary(names: Iterable[str], at_most: int = 40) -> str:
    """Names in one line; those that differ only in the layer count as one."""
    layers = defaultdict(list)
    for name in names:
        found = re.search(r'\b(?:layers|blocks)\.(\d{1,9})\.', name)
        if found:
            around = name[: found.start(1)], name[found.end(1) :]
            layers[around].append(int(found[1]))
        else:
            layers[name, ''] = []
    parts = [
        printable(f'{head}{_ranges(numbers)}{tail}', quoted=False)
        for (head, tail), numbers in layers.items()
    ]
    if len(parts) > at_most:
        parts[at_most:] = [f'and {len(parts) - at_most} more']
    return ', '.join(parts)


def by_reason(reasons: Mapping[str, str], at_most: int = 8) -> str:
    """Names in one line with their reasons; equal reasons are grouped."""
    names = defaultdict(list)
    for name, reason in reasons.items():
        names[reason].append(name)
    return '; '.join(
        f'{summary(group, at_most)} ({reason})' for reason, group in names.items()
    )


def printable(value: Any, quoted: bool = True) -> str:
    """A name from a file for use in a line: short, without control characters."""
    text = value if isinstance(value, str) else ' '.join(reprlib.repr(value).split())
    if not text.isprintable():
        text, quoted = repr(text), False
    if len(text) > 100:
        text = f'{text[:80]}... ({len(text)} characters)'
    return f"'{text}'" if quoted and isinstance(value, str) else text


def _innermost(content, depth=0):
    """The mapping that holds tensors, inside the first wrapper that leads there."""
    if not isinstance(content, Mapping) or depth > MOST_WRAPPERS:
        return None
    for key in WRAPPERS:
        found = _innermost(content.get(key), depth + 1)
        if found is not None:
            return found
    has_tensors = any(isinstance(value, Tensor) for value in content.values())
    return content if has_tensors else None


def _raw_weights(content):
    averaged = content.get('ema_state_dict')
    if not isinstance(averaged, Mapping):
        raise MismatchError('the checkpoint has no ema_state_dict with raw weights')
    # EMAHook swaps the two; the number of steps is not a weight
    prefix = 'module.'
    return {
        key.removeprefix(prefix): value
        for key, value in averaged.items()
        if isinstance(key, str) and key.startswith(prefix)
    }


def _check_entries(state_dict):
    unusable = {}
    for name, value in state_dict.items():
        if not isinstance(name, str):
            raise MismatchError(
                f'weights have names, but the key {printable(name)} is {_what(name)}'
            )
        reason = _unusable(value)
        if reason and not name.endswith('_extra_state'):
            unusable[name] = reason
    if unusable:
        raise MismatchError(
            f'{len(unusable)} of its weights are not dense tensors of numbers: '
            f'{by_reason(unusable)}. Save such tensors under these names, or leave '
            'them out'
        )


def _unusable(value):
    if not isinstance(value, Tensor):
        return _what(value)
    if value.is_meta:
        return 'a tensor without values, of the device meta'
    if value.is_quantized:
        return 'quantised'
    if value.is_nested or value.layout != torch.strided:
        return 'sparse, nested or packed'
    return None


def _check_memory(state_dict):
    """Refuse tensors that repeat a few bytes into a size too large to copy."""
    tensors = {k: v for k, v in state_dict.items() if isinstance(v, Tensor)}
    sizes = {k: v.numel() * v.element_size() for k, v in tensors.items()}
    storages = [v.untyped_storage() for v in tensors.values()]
    held = sum({s.data_ptr(): s.nbytes() for s in storages}.values())
    if sum(sizes.values()) > MOST_PER_BYTE * held + FREE_BYTES:
        largest = max(sizes, key=sizes.get)
        shape = tuple(tensors[largest].shape)
        raise MismatchError(
            f'its tensors have {sum(sizes.values())} bytes, but only {held} are '
            f'stored; the largest is {summary([largest])}, {shape}'
        )


def _kind(tensor):
    if tensor.is_complex():
        return 'complex'
    return 'floating' if tensor.is_floating_point() else 'integer'


def _finite(tensor):
    if tensor.is_meta or not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    if tensor.is_floating_point() and tensor.itemsize == 1:  # float8 has few ops
        tensor = tensor.float()
    return bool(tensor.isfinite().all())


def _ranges(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    text = ','.join(f'{a}' if a == b else f'{a}-{b}' for a, b in runs)
    return text if not text or text.isdigit() else f'{{{text}}}'


def _what(value: Any) -> str:
    kinds = {type(None): 'None', np.ndarray: 'a NumPy array', str: 'text'}
    name = type(value).__name__
    article = 'an' if name[0] in 'aeiouAEIOU' else 'a'
    return kinds.get(type(value), f'{article} {name}')
