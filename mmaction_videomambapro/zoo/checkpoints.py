"""Published checkpoints, and those of other shapes, fitted to a model.

Knows VideoMamba, VideoMambaPro and VideoMAE (MMAction2's VisionTransformer), alone or
as the ``backbone`` of a recognizer. Any other model is left alone.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import torch
from mmaction.models.backbones.vit_mae import VisionTransformer
from mmaction.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..files import replacing
from ..models import VideoMamba
from ..safe_load import CheckpointError
from .checkpoint_rules import MISSING, RESHAPED, UNUSED, Case, first, official_name

WRAPPERS = ('state_dict', 'model', 'module')
NOT_STRICT = (
    'To load what fits nevertheless, put dict(type="AdaptCheckpointHook", '
    'strict=False) into custom_hooks, or convert the file with '
    'tools/checkpoints/convert.py --no-strict'
)


class MismatchError(CheckpointError):
    """A checkpoint without weights, or with weights that no rule fits to the model."""


@dataclass
class Report:
    """What became of every tensor.

    Attributes:
        loaded (list[str]): Names in the model of what was taken as it is.
        adapted (dict[str, str]): Names in the model of what was changed, and how.
        fresh (dict[str, str]): Names in the model of what keeps the values it has,
            and why.
        unused (dict[str, str]): Names in the file of what was left out, and why.
    """

    loaded: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f'{len(self.loaded)} tensors loaded as they are']
        for kind in ('adapted', 'fresh', 'unused'):
            by_reason = defaultdict(list)
            for name, reason in getattr(self, kind).items():
                by_reason[reason].append(name)
            lines += [
                f'{kind}: {summary(names, at_most=8)} ({reason})'
                for reason, names in by_reason.items()
            ]
        return '\n'.join(lines)

    def log(self) -> None:
        """Log it, as a warning if anything is fresh or unused."""
        level = logging.WARNING if self.fresh or self.unused else logging.INFO
        print_log(f'Checkpoint fitted to the model:\n{self}', 'current', level)


def summary(names: list[str], at_most: int | None = None) -> str:
    """Names in one line, those that differ in the layer only as one."""
    layers = defaultdict(list)
    for name in names:
        found = re.search(r'\b(?:layers|blocks)\.(\d+)\.', name)
        if found:
            around = name[: found.start(1)], name[found.end(1) :]
            layers[around].append(int(found[1]))
        else:
            layers[name, ''] = []
    parts = [
        f'{head}{_ranges(numbers)}{tail}' for (head, tail), numbers in layers.items()
    ]
    if at_most is not None and len(parts) > at_most:
        parts[at_most:] = [f'and {len(parts) - at_most} more']
    return ', '.join(parts)


def _ranges(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    text = ','.join(f'{a}' if a == b else f'{a}-{b}' for a, b in runs)
    return text if not text or text.isdigit() else f'{{{text}}}'


def adapt(
    checkpoint: Mapping[str, Any],
    model: nn.Module,
    *,
    inflate: str = 'centre',
    label_map: tuple[str | PathLike, str | PathLike] | None = None,
    weights: str = 'ema',
    strict: bool = True,
) -> tuple[OrderedDict[str, Tensor], Report]:
    """Fit a checkpoint to a model, by the rules of :mod:`.checkpoint_rules`.

    Args:
        checkpoint (Mapping): The content of a file, wrapped in ``state_dict``,
            ``model`` or ``module`` or not, with prefixes or without.
        model (Module): A VideoMamba, VideoMambaPro or VisionTransformer, or a model
            with one as its ``backbone``. It is not changed.
        inflate (str): How a 2-D patch kernel fills a tubelet: 'centre', zero outside
            the frame t // 2 as published, or 'mean', spread evenly over all t frames.
            Defaults to 'centre'.
        label_map (tuple[PathLike], optional): Two text files, the label names of the
            checkpoint and of the model, one a line in the order of the classes: rows
            of the head are picked by name. Without it, a head of another class count
            stays fresh. Defaults to None.
        weights (str): 'ema' takes ``state_dict``, where MMEngine's EMAHook puts the
            averaged weights; 'raw' takes those that were averaged.
            Defaults to 'ema'.
        strict (bool): Whether parameters that are missing in the backbone, unknown,
            or of a shape that no rule knows, are an error. Defaults to True.

    Returns:
        tuple[OrderedDict, Report]: A state dict with every key of the model, where
        fresh ones have the model's own values; and what was done.

    Raises:
        MismatchError: If there are no weights, if nothing fits at all, or if
            ``strict`` and something is unexpected, with all of it.
        CheckpointError: For another model, or a wrong ``label_map``.
    """
    if inflate not in ('centre', 'mean'):
        raise ValueError(f"inflate must be 'centre' or 'mean', but got {inflate!r}")
    backbone = _known_backbone(model)
    if backbone is None:
        raise CheckpointError(
            f'{type(model).__name__} has no VideoMamba, VideoMambaPro or '
            'VisionTransformer that a checkpoint could be fitted to'
        )
    file = _Names(state_dict_in(checkpoint, weights))
    own = _Names(_unwrapped(model).state_dict())
    rows = _class_rows(*label_map, file.tensors, own.tensors) if label_map else None
    case = Case(file.tensors, own.tensors, backbone, inflate, rows)

    result, report, problems = _match(own, file, case)
    loaded = set(report.loaded)
    nothing_fits = not any(own.names[key] in loaded for key in case.encoder)
    if nothing_fits or (strict and any(problems.values())):
        raise MismatchError(_describe(problems, case, nothing_fits))
    return result, report


def _match(own: _Names, file: _Names, case: Case):
    """Apply the rules: the state dict, the report, and what no rule covers."""
    result, report = OrderedDict(), Report()
    problems = dict(missing=[], misshapen=[], unknown=[])
    for key, values in own.tensors.items():
        name, given = own.names[key], file.tensors.get(key)
        remapped = case.rows is not None and key.startswith('head.')
        if given is not None and given.shape == values.shape and not remapped:
            report.loaded.append(name)
            result[name] = given
            continue
        found = first(MISSING if given is None else RESHAPED, key, case)
        if found is None and given is None:
            problems['missing'].append(name)
        elif found is None:
            shapes = f'{tuple(given.shape)} instead of {tuple(values.shape)}'
            problems['misshapen'].append(f'{name} {shapes}')
            report.unused[file.names[key]] = shapes
        tensor, how = found or (None, 'nothing in the file fits')
        (report.fresh if tensor is None else report.adapted)[name] = how
        result[name] = values if tensor is None else tensor
    for key, name in file.names.items():
        if key not in own.names:
            why = first(UNUSED, key, case)
            if why is None:
                problems['unknown'].append(name)
            report.unused[name] = why or 'unknown'
    return result, report, problems


def fit(state_dict: Mapping[str, Any], model: nn.Module) -> Mapping[str, Any]:
    """Fit what MMEngine is about to load, and log how.

    Args:
        state_dict (Mapping): A state dict or the whole content of a file.
        model (Module): What it is to be loaded into.

    Returns:
        Mapping: ``state_dict`` itself if its keys and shapes are those of the model,
        or if the model is none that :func:`adapt` knows.

    Raises:
        CheckpointError: See :func:`adapt`.
    """
    if _known_backbone(model) is None or _fits_exactly(state_dict, model):
        return state_dict
    state_dict, report = adapt(state_dict, model)
    report.log()
    return state_dict


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Put the file in front of what does not fit."""
    try:
        yield
    except MismatchError as error:
        raise MismatchError(f'{file}: {error}') from None


def state_dict_in(checkpoint: Mapping[str, Any], weights: str = 'ema') -> dict:
    """The tensors of a checkpoint, out of its wrappers.

    Args:
        checkpoint (Mapping): The content of a file.
        weights (str): 'ema' or 'raw', see :func:`adapt`. Defaults to 'ema'.

    Raises:
        CheckpointError: If there are none, or no raw ones.
    """
    if weights not in ('ema', 'raw'):
        raise ValueError(f"weights must be 'ema' or 'raw', but got {weights!r}")
    if weights == 'raw':
        if 'ema_state_dict' not in checkpoint:
            raise MismatchError('the checkpoint has no ema_state_dict with raw weights')
        checkpoint = {  # EMAHook exchanges both; the number of steps is no weight
            key.removeprefix('module.'): value
            for key, value in checkpoint['ema_state_dict'].items()
            if key.startswith('module.')
        }
    found = checkpoint
    while isinstance(found, Mapping):
        tensors = {k: v for k, v in found.items() if isinstance(v, Tensor)}
        if tensors:
            return tensors
        found = next((found[key] for key in WRAPPERS if key in found), None)
    held = list(checkpoint)[:8] if isinstance(checkpoint, Mapping) else type(checkpoint)
    wrappers = ', '.join(WRAPPERS)
    raise MismatchError(f'there are no weights, alone or in {wrappers}, but {held}')


def convert(
    source: str,
    destination: str | PathLike,
    model: dict,
    *,
    official: bool = False,
    **options: Any,
) -> Report:
    """Write a checkpoint fitted to a model; the file appears whole or not at all.

    A head that stays fresh is left out, so that no random numbers are published.

    Args:
        source (str): A file or a URL.
        destination (str | PathLike): Where to write.
        model (dict): The config of the model.
        official (bool): Write ``model`` with the keys of the published files instead
            of MMEngine's ``meta`` and ``state_dict``. Defaults to False.
        **options: Options of :func:`adapt`.

    Raises:
        CheckpointError: See :func:`adapt`.
    """
    model = MODELS.build(model)
    with naming(source):
        checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
        state_dict, report = adapt(checkpoint, model, **options)
    encoder = {official_name(key) for key in _known_backbone(model).state_dict()}
    left_out = {key for key in report.fresh if official_name(key) not in encoder}
    if official:  # the published files hold no tables that are computed
        left_out.update(key for key, _ in model.named_buffers())
    state_dict = {k: v for k, v in state_dict.items() if k not in left_out}
    if official:
        content = dict(model=_Names(state_dict).tensors)
    else:
        content = dict(meta=dict(converted_from=str(source)), state_dict=state_dict)
    with replacing(destination, 'wb') as file:
        torch.save(content, file)
    return report


class _Names:
    """Tensors by official name, and the names they have."""

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        self.names, self.tensors = {}, {}
        for name, tensor in state_dict.items():
            key = official_name(name)
            if key in self.names:
                raise MismatchError(
                    f'{self.names[key]} and {name} in one checkpoint are both {key}'
                )
            self.names[key], self.tensors[key] = name, tensor


def _unwrapped(model: nn.Module) -> nn.Module:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _known_backbone(model: nn.Module) -> nn.Module | None:
    model = _unwrapped(model)
    for candidate in (model, getattr(model, 'backbone', None)):
        if isinstance(candidate, (VideoMamba, VisionTransformer)):
            return candidate
    return None


def _fits_exactly(state_dict: Mapping[str, Any], model: nn.Module) -> bool:
    own = _unwrapped(model).state_dict()
    return own.keys() == state_dict.keys() and all(
        own[key].shape == getattr(value, 'shape', None)
        for key, value in state_dict.items()
    )


def _class_rows(file_labels, model_labels, file, model) -> list[int]:
    """For every class of the model, its row in the head of the file."""
    sides = []
    for labels, tensors in ((file_labels, file), (model_labels, model)):
        try:
            with open(labels, encoding='utf-8') as lines:
                names = [line.strip() for line in lines if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f'label names {labels} can not be read: {error}'
            ) from None
        classes = len(tensors.get('head.bias', ()))
        if len(names) != classes:
            where = 'checkpoint' if tensors is file else 'model'
            raise CheckpointError(
                f'{labels} has {len(names)} label names, the head of the {where} '
                f'{classes} classes'
            )
        sides.append(names)
    row = {name: i for i, name in enumerate(sides[0])}
    unknown = [name for name in sides[1] if name not in row]
    if unknown:
        raise CheckpointError(
            f'{len(unknown)} label names of {model_labels} are not in {file_labels}: '
            f'{", ".join(unknown[:10])}'
        )
    return [row[name] for name in sides[1]]


def _describe(problems: Mapping[str, list[str]], case, nothing_fits: bool) -> str:
    sizes = _size(case.file), _size(case.model)
    what = 'nothing in the checkpoint fits' if nothing_fits else 'it does not fit'
    parts = [f'{what} the model']
    if sizes[0] != sizes[1]:
        parts[0] += f' ({sizes[0]} against {sizes[1]})'
    titles = dict(
        missing='not in the file', misshapen='of another shape', unknown='unknown'
    )
    for kind, names in problems.items():
        if names:
            parts.append(f'{len(names)} {titles[kind]}: {summary(names)}')
    return '; '.join(parts) + ('' if nothing_fits else f'. {NOT_STRICT}')


def _size(tensors: Mapping[str, Tensor]) -> str:
    layers = [re.match(r'(?:layers|blocks)\.(\d+)\.', key) for key in tensors]
    depth = max((int(found[1]) + 1 for found in layers if found), default=0)
    bias = tensors.get('patch_embed.proj.bias', ())
    return f'{depth} layers of {len(bias)} channels'
