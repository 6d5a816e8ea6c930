"""What an ONNX file says of itself, in its ``metadata_props``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..checkpoints.config_text import check_names
from ..errors import UsageError
from .sampling import LARGEST, is_count, is_sampling

FORMAT = '1'
LONGEST = 1 << 24  # characters of a property
DEEPEST = 10  # levels of a pipeline


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What an ONNX file says of itself. Everything is optional.

    Attributes:
        config (str): Name of the config, the stem of its file.
        classes (list[str]): Class names in label order.
        pipeline (list[dict]): The steps of the test pipeline, as plain data.
        sampling (dict): The same for programs without MMAction2: see
            :func:`sampling_of`.
        batch_size (int): Of the test data.
        weights_sha256 (str): Of the checkpoint's file.
        lowering (str): How the scan is written: 'linear_attention', 'standard', 'scan'
            or 'chunked'.
        precision (str): 'float32', 'float16', 'bfloat16' or 'int8'.
        error (dict[str, float]): Difference from PyTorch's float32 scores, relative to
            their norm, by the kind of frames.
        versions (dict[str, str]): Of the packages that made the file.
    """

    config: str | None = None
    classes: list[str] | None = None
    pipeline: list[dict] | None = None
    sampling: dict[str, Any] | None = None
    batch_size: int | None = None
    weights_sha256: str | None = None
    lowering: str | None = None
    precision: str | None = None
    error: dict[str, float] | None = None
    versions: dict[str, str] | None = None

    def to_props(self) -> dict[str, str]:
        """The properties to write into a file; those that are None are left out.

        Raises:
            TypeError: If a value is not plain data.
            ValueError: If a number is not finite.
        """
        props = {'format': FORMAT}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str):
                props[field.name] = value
            elif value is not None:
                props[field.name] = json.dumps(value, allow_nan=False)
        return props

    @classmethod
    def from_props(cls, props: Mapping[str, str], path: str) -> Metadata:
        """Read the properties of a file, which a stranger may have written.

        Nothing that they name is imported. Properties that are not known are ignored.

        Args:
            props (Mapping[str, str]): By name.
            path (str): The file, for errors.

        Raises:
            UsageError: If they are not those of a file of ours, or damaged.
        """
        if 'format' not in props:
            raise UsageError(
                f'{path} was not made by tools/deployment/export_onnx.py: its metadata '
                'has no format'
            )
        if props['format'] != FORMAT:
            raise UsageError(
                f'{path} has metadata of format {props["format"]!r:.20}, but this '
                f'version reads {FORMAT!r}: update mmaction_videomambapro'
            )
        known = [field.name for field in fields(cls) if field.name in props]
        values = {name: _value(name, props[name], path) for name in known}
        if 'pipeline' in values:
            check_names(values['pipeline'], f'the pipeline of {path}')
            values['pipeline'] = _with_tuples(values['pipeline'])
        return cls(**values)


def _value(name: str, text: str, path: str) -> Any:
    """A property's value.

    Raises:
        UsageError: If it is not what it should be.
    """
    is_json, expected, is_right = _PROPERTIES[name]
    try:
        if len(text) > LONGEST:
            raise ValueError(name)
        value = json.loads(text, parse_constant=_refuse) if is_json else text
        if not is_right(value):
            raise ValueError(name)
    except (ValueError, OverflowError, RecursionError):
        raise UsageError(
            f'{path} is damaged: {name} in its metadata is not {expected}'
        ) from None
    return value


def _refuse(constant):
    raise ValueError(constant)


def _is_name(value):
    return isinstance(value, str) and len(value) <= 200


def _is_hash(value):
    return re.fullmatch('[0-9a-f]{64}', value) is not None


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value)


def _are_names(value):
    return isinstance(value, list) and bool(value) and all(map(_is_name, value))


def _are_named(is_right):
    return lambda value: (
        isinstance(value, dict)
        and all(map(_is_name, value))
        and all(map(is_right, value.values()))
    )


def _is_pipeline(value):
    """Whether it is one that does not ask for more frames than memory holds."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(step, dict) and _is_step(step) for step in value)
        and _is_modest(value)
    )


def _is_step(step):
    counts = step.get('clip_len', 1), step.get('num_clips', 1)
    return all(map(is_count, counts)) and math.prod(counts) <= LARGEST


def _is_modest(node, levels=DEEPEST):
    if isinstance(node, (list, dict)):
        items = node.values() if isinstance(node, dict) else node
        return levels > 0 and all(_is_modest(item, levels - 1) for item in items)
    return not isinstance(node, (int, float)) or abs(node) <= LARGEST


# Whether a property is JSON, what is expected, and the check
_PROPERTIES: dict[str, tuple[bool, str, Callable[[Any], bool]]] = {
    'config': (False, 'a name', _is_name),
    'classes': (True, 'a list of names', _are_names),
    'pipeline': (True, 'a list of transforms of a usual size', _is_pipeline),
    'sampling': (True, 'a choice of frames and crops', is_sampling),
    'batch_size': (True, 'a number above 0', is_count),
    'weights_sha256': (False, 'a hash', _is_hash),
    'lowering': (False, 'a name', _is_name),
    'precision': (False, 'a name', _is_name),
    'error': (True, 'numbers by name', _are_named(_is_number)),
    'versions': (True, 'versions by name', _are_named(_is_name)),
}


def _with_tuples(node: Any) -> Any:
    """Plain data from JSON, with lists of numbers as tuples: Resize insists on it."""
    if isinstance(node, dict):
        return {key: _with_tuples(value) for key, value in node.items()}
    if isinstance(node, list):
        items = [_with_tuples(item) for item in node]
        return tuple(items) if items and all(map(_is_number, items)) else items
    return node
