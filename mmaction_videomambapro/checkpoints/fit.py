"""Fits published checkpoints, and those of other shapes, to a model.

Knows VideoMamba, VideoMambaPro and VideoMAE (MMAction2's VisionTransformer), alone or
as the ``backbone`` of a recognizer. Any other model is left alone.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
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

from ..datasets.classes import read_classes
from ..datasets.lists import ListError
from ..files import replacing
from ..models import VideoMamba
from ..safe_load import CheckpointError
from .classes import class_names, different_classes
from .loading import Loading, current, loading
from .rules import (
    CLASSIFIER,
    MISSING,
    RESHAPED,
    UNUSED,
    Case,
    first,
    longer_kernel,
    official_name,
)
from .state_dicts import (
    MismatchError,
    by_reason,
    check_values,
    state_dict_in,
    summary,
)

NOTHING_FITS = 'nothing in the file fits'
NOT_STRICT = (
    'To load what fits nevertheless, put dict(type="AdaptCheckpointHook", '
    'strict=False) into custom_hooks, or convert the file with '
    'tools/checkpoints/convert.py --no-strict'
)


@dataclass
class Report:
    """What happened to every tensor.

    Attributes:
        loaded (list[str]): Names in the model of tensors loaded unchanged.
        adapted (dict[str, str]): Names in the model of tensors that were changed, and
            how.
        fresh (dict[str, str]): Names in the model of tensors that keep their values,
            and why.
        unused (dict[str, str]): Names in the file of tensors left out, and why.
        notes (list[str]): Further lines for the log.
    """

    loaded: list[str] = field(default_factory=list)
    adapted: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f'{len(self.loaded)} tensors loaded as they are']
        lines += [
            f'{kind}: {by_reason(getattr(self, kind))}'
            for kind in ('adapted', 'fresh', 'unused')
            if getattr(self, kind)
        ]
        return '\n'.join([*lines, *self.notes])

    def log(self) -> None:
        """Log the report, as a warning if anything is fresh or unused."""
        level = logging.WARNING if self.fresh or self.unused else logging.INFO
        print_log(f'Checkpoint fitted to the model:\n{self}', 'current', level)


def adapt(
    checkpoint: Mapping[str, Any],
    model: nn.Module,
    *,
    inflate: str = 'centre',
    label_map: tuple[str | PathLike, str | PathLike] | None = None,
    weights: str = 'ema',
    strict: bool = True,
    complete: bool = False,
    classes: tuple[list[str], list[str]] | None = None,
) -> tuple[OrderedDict[str, Tensor], Report]:
    """Fit a checkpoint to a model, by the rules of :mod:`.rules`.

    Args:
        checkpoint (Mapping): The content of a file, with or without prefixes and a
            ``state_dict``, ``model`` or ``module`` wrapper.
        model (Module): A VideoMamba, VideoMambaPro or VisionTransformer, or a model
            with one as its ``backbone``. It is not changed.
        inflate (str): How a patch kernel of fewer frames fills a tubelet: 'centre'
            puts it in the middle and zeros elsewhere, as published for 2-D kernels;
            'mean' stretches it over all frames. Only 'mean' takes kernels with more
            frames than the model's. Defaults to 'centre'.
        label_map (tuple[PathLike], optional): Two text files, the label names of the
            checkpoint and of the model, one per line in class order: rows of the head
            are picked by name. Without it, a head with a different class count stays
            fresh. Defaults to None.
        weights (str): 'ema' takes ``state_dict``, where MMEngine's EMAHook puts the
            averaged weights; 'raw' takes the live weights instead.
            Defaults to 'ema'.
        strict (bool): Whether backbone parameters that are missing, unknown, or of a
            shape that no rule covers are an error. Defaults to True.
        complete (bool): Whether weights that stay fresh are an error, as in tests,
            where they would be random. Defaults to False.
        classes (tuple[list[str]], optional): Class names of the checkpoint and of the
            model. Rows of the head are picked by name if only their order differs; a
            head with other classes stays fresh. Defaults to None.

    Returns:
        tuple[OrderedDict, Report]: A state dict with every key of the model, where
        fresh ones have the model's own values; and a report of what was done.

    Raises:
        MismatchError: If there are no weights, or unusable ones; if nothing fits at
            all; if ``strict`` and something is unexpected (everything is listed); or if
            ``complete`` and something stays fresh.
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
    both = {key: name for key, name in file.names.items() if key in own.names}
    check_values(
        {name: file.tensors[key] for key, name in both.items()},
        {name: own.tensors[key] for key, name in both.items()},
    )
    rows = other_classes = None
    if label_map:
        rows = _class_rows(*label_map, file.tensors, own.tensors)
    elif classes and classes[0] != classes[1]:
        there, here = classes
        counts = {len(there), len(here), *map(_classes, (file.tensors, own.tensors))}
        if set(there) == set(here) and counts == {len(set(there))}:
            rows = [there.index(name) for name in here]
        else:
            other_classes = different_classes(there, here)
    case = Case(file.tensors, own.tensors, backbone, inflate, rows, other_classes)

    result, report, problems = _match(own, file, case)
    loaded = set(report.loaded)
    nothing_fits = not any(own.names[key] in loaded for key in case.encoder)
    if nothing_fits or (strict and any(problems.values())):
        raise MismatchError(_describe(problems, case, nothing_fits))
    if complete:
        check_complete(report.fresh, model)
    return result, report


def check_complete(missing: Mapping[str, str], model: nn.Module) -> None:
    """Refuse weights that no file provides, where a fresh start is not acceptable.

    Args:
        missing (Mapping): Names of weights that keep their values, and why.
        model (Module): Prefixes in its ``training_only`` name what tests do not need.

    Raises:
        MismatchError: Lists all of them.
    """
    training_only = tuple(getattr(_unwrapped(model), 'training_only', ()))
    needed = {k: why for k, why in missing.items() if not k.startswith(training_only)}
    if needed:
        raise MismatchError(
            f'{len(needed)} weights of the model would be random: {by_reason(needed)}. '
            'Tests and resumed trainings need all of them: take a checkpoint that was '
            'trained for these classes, or train this one for them, load_from=FILE'
        )


def _match(own: _Names, file: _Names, case: Case):
    """Apply the rules; return state dict, report, and what no rule covers."""
    result, report = OrderedDict(), Report()
    problems = dict(missing=[], misshapen=[], unknown=[])
    for key, values in own.tensors.items():
        name, given = own.names[key], file.tensors.get(key)
        remapped = case.heads_differ and re.fullmatch(CLASSIFIER, key)
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
        tensor, how = found or (None, NOTHING_FITS)
        (report.fresh if tensor is None else report.adapted)[name] = how
        result[name] = values if tensor is None else tensor
    for key, name in file.names.items():
        if key not in own.names:
            why = first(UNUSED, key, case)
            if why is None:
                problems['unknown'].append(name)
            report.unused[name] = why or 'unknown'
    return result, report, problems


def fit(
    checkpoint: Mapping[str, Any], model: nn.Module, **options: Any
) -> Mapping[str, Any]:
    """Fit what MMEngine is about to load, for its current purpose, and log how.

    Args:
        checkpoint (Mapping): A state dict or the whole content of a file.
        model (Module): The model that it will be loaded into.
        **options: Options of :func:`adapt`.

    Returns:
        Mapping: A state dict; that of ``checkpoint`` itself if its keys and shapes are
        those of the model, or if :func:`adapt` does not know the model.

    Raises:
        CheckpointError: See :func:`adapt`.
    """
    purpose = current() or Loading()
    if purpose.fitted:  # EMAHook comes first
        purpose = Loading()
    elif current():
        purpose.fitted = True
    state_dict = state_dict_in(checkpoint, options.get('weights', 'ema'))
    difference = None
    if purpose.classes and purpose.there != purpose.here:
        difference = different_classes(*purpose.classes)
    if options.get('label_map'):
        difference = None
    if difference and purpose.complete:
        raise MismatchError(f'it was trained for other classes: {difference}')

    known = _known_backbone(model) is not None
    exact = _fits_exactly(state_dict, _unwrapped(model).state_dict())
    if not options and (not known or (exact and not difference)):
        _check_as_it_is(state_dict, _unwrapped(model), purpose.complete and not exact)
        if difference:
            text = f'The checkpoint was trained for other classes: {difference}.'
            print_log(text, 'current', logging.WARNING)
        notes = _about_the_head(purpose, state_dict) if known else []
        for note in notes:
            print_log(note, 'current')
        return state_dict
    state_dict, report = adapt(
        checkpoint,
        model,
        complete=purpose.complete,
        classes=purpose.classes,
        **options,
    )
    report.notes += _about_the_head(purpose, report.loaded)
    report.log()
    return state_dict


def _check_as_it_is(state_dict, model, complete):
    """Check what goes into any other model, by its own rules for old names."""
    check_values(state_dict, model.state_dict())
    if not complete:
        return
    try:
        with warnings.catch_warnings():  # from models on the meta device
            warnings.simplefilter('ignore')
            missing = model.load_state_dict(state_dict, strict=False).missing_keys
    except RuntimeError as error:
        raise MismatchError(' '.join(str(error).split())) from None
    # MMEngine does not report these either
    missing = [key for key in missing if 'num_batches_tracked' not in key]
    check_complete(dict.fromkeys(missing, 'not in the file'), model)


def _about_the_head(purpose, loaded):
    """Say that a head's classes are unknown, if they are."""
    kept = any(re.fullmatch(CLASSIFIER, official_name(name)) for name in loaded)
    if not purpose.fine_tuning or not kept or purpose.classes:
        return []
    silent = 'data' if purpose.there else 'checkpoint'
    return [
        'The head was kept, because the checkpoint has as many classes as the model. '
        f'Whether they are the same is not known: the {silent} has no names of classes.'
    ]


def convert(
    source: str,
    destination: str | PathLike,
    model: dict,
    *,
    official: bool = False,
    **options: Any,
) -> Report:
    """Write a checkpoint fitted to a model; the file appears complete or not at all.

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
    with loading(source):
        checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
        state_dict, report = adapt(checkpoint, model, **options)
    encoder = {official_name(key) for key in _known_backbone(model).state_dict()}
    left_out = {key for key in report.fresh if official_name(key) not in encoder}
    if official:  # the published files have no tables that are computed
        left_out.update(key for key, _ in model.named_buffers())
    own = _Names({k: v for k, v in state_dict.items() if k not in left_out})
    state_dict = {own.names[key]: tensor for key, tensor in own.tensors.items()}
    if official:
        content = dict(model=own.tensors)
    else:
        meta: dict[str, Any] = dict(converted_from=str(source))
        fresh = [k for k, why in report.fresh.items() if why == NOTHING_FITS]
        if fresh:  # to train from, not to test
            meta['random_weights'] = fresh
        names = class_names(checkpoint)
        if options.get('label_map'):
            names = _lines(options['label_map'][1])
        if names and _length(own.tensors.get('head.bias')) == len(names):
            meta['dataset_meta'] = dict(classes=tuple(names))
        content = dict(meta=meta, state_dict=state_dict)
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


def _fits_exactly(state_dict: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    return own.keys() == state_dict.keys() and all(
        getattr(own[key], 'shape', None) == getattr(value, 'shape', None)
        for key, value in state_dict.items()
    )


def _class_rows(file_labels, model_labels, file, model) -> list[int]:
    """For every class of the model, its row in the head of the file."""
    sides = []
    for labels, tensors in ((file_labels, file), (model_labels, model)):
        names = _lines(labels)
        classes = _length(tensors.get('head.bias'))
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


def _lines(labels: str | PathLike) -> list[str]:
    try:
        return [name.strip() for name in read_classes(labels)]
    except ListError as error:
        raise CheckpointError(f'label names {labels} cannot be read: {error}') from None


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
    if longer_kernel(case):
        parts.append(
            "the patch kernel has more frames than the model's tubelets, which "
            "inflate='mean' adds up"
        )
    return '; '.join(parts) + ('' if nothing_fits else f'. {NOT_STRICT}')


def _size(tensors: Mapping[str, Tensor]) -> str:
    layers = [re.match(r'(?:layers|blocks)\.(\d{1,9})\.', key) for key in tensors]
    depth = max((int(found[1]) + 1 for found in layers if found), default=0)
    channels = _length(tensors.get('patch_embed.proj.bias'))
    return f'{depth} layers of {channels} channels'


def _classes(tensors: Mapping[str, Tensor]) -> int:
    """Rows of the head, 0 without one."""
    heads = [t for key, t in tensors.items() if re.fullmatch(CLASSIFIER, key)]
    return len(heads[0]) if heads and heads[0].ndim else 0


def _length(tensor: Tensor | None) -> int:
    return tensor.numel() if tensor is not None and tensor.ndim == 1 else 0
