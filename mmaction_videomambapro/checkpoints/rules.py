"""Rules that turn the weights of one network into those of another, as functions.

Keys are compared by their official names; see :func:`official_name`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ..models.layers.mixer import BACKWARD, forward_name
from ..models.layers.position import resize_pos_embed, resize_temporal_embed

# A name in a file or in a model -> the name in the published files of VideoMamba
# (OpenGVLab/VideoMamba, models/videomamba.py) and VideoMAE (MCG-NJU/VideoMAE,
# modeling_finetune.py).
NAMES = (
    (r'^((module|backbone|encoder)\.)+', ''),
    (r'^(cls_head\.fc_cls|head\.fc)\.', 'head.'),
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^(blocks\.\d+)\.mlp\.layers\.0\.0\.', r'\1.mlp.fc1.'),
    (r'^(blocks\.\d+)\.mlp\.layers\.1\.', r'\1.mlp.fc2.'),
)
IN_BACKWARD = rf'layers\.\d+\.mixer\.({BACKWARD})'


def official_name(key: str) -> str:
    """The published name of a parameter, without prefixes and wrapping modules."""
    for pattern, replacement in NAMES:
        key = re.sub(pattern, replacement, key)
    return key


@dataclass(frozen=True)
class Case:
    """What a rule works on.

    Attributes:
        file (Mapping): The tensors of the file by official name.
        model (Mapping): The tensors of the model by official name.
        backbone (Module): The backbone of the model.
        inflate (str): 'centre' or 'mean'.
        rows (list[int], optional): For every class of the model, its row in the
            head of the file.
        other_classes (str, optional): How the classes differ, if they do.
    """

    file: Mapping[str, Tensor]
    model: Mapping[str, Tensor]
    backbone: nn.Module
    inflate: str = 'centre'
    rows: list[int] | None = None
    other_classes: str | None = None

    @property
    def heads_differ(self) -> bool:
        """Whether the two heads have different classes or another order."""
        return self.rows is not None or self.other_classes is not None

    @cached_property
    def encoder(self) -> set[str]:
        """Official names of the backbone's tensors."""
        return {official_name(key) for key in self.backbone.state_dict()}


# --- keys on both sides, of different shapes: (tensor, or None for fresh, and how) ---


def inflate(key: str, case: Case):
    """A patch kernel with other frames: put in the tubelet's middle, or stretched.

    A 2-D kernel counts as a single frame.
    """
    kernel, shape = _kernel_in_time(case.file[key]), case.model[key].shape
    if not _same_patches(kernel, case.model[key]):
        return None
    frames, wanted = kernel.shape[2], shape[2]
    how = f'kernel of {frames} frame(s) inflated to {wanted}, {case.inflate}'
    if case.inflate == 'mean':
        overlap = _overlap(frames, wanted).to(kernel)
        return torch.einsum('oiahw,ab->oibhw', kernel, overlap).contiguous(), how
    if frames > wanted:
        return None
    tubelet = kernel.new_zeros(shape)
    start = wanted // 2 - frames // 2
    tubelet[:, :, start : start + frames] = kernel
    return tubelet, how


def longer_kernel(case: Case) -> bool:
    """Whether the patch kernel has too many frames for the middle of a tubelet.

    Cut to fit, it would respond to a still clip differently than before.
    """
    key = 'patch_embed.proj.weight'
    if key not in case.file or key not in case.model:
        return False
    kernel = _kernel_in_time(case.file[key])
    return (
        case.inflate == 'centre'
        and _same_patches(kernel, case.model[key])
        and kernel.shape[2] > case.model[key].shape[2]
    )


def _kernel_in_time(kernel: Tensor) -> Tensor:
    return kernel.unsqueeze(2) if kernel.ndim == 4 else kernel


def _same_patches(kernel: Tensor, target: Tensor) -> bool:
    """Whether two kernels have a time axis and differ in nothing else."""
    if not kernel.ndim == target.ndim == 5 or kernel.shape[2] == 0:
        return False
    rest = (0, 1, 3, 4)
    return all(kernel.shape[i] == target.shape[i] for i in rest)


def _overlap(frames: int, wanted: int) -> Tensor:
    """Share of each frame of a stretched kernel in each frame of another length.

    Rows add up to 1, so the embedding of a still clip does not change.
    """
    old, new = torch.arange(frames + 1) * wanted, torch.arange(wanted + 1) * frames
    begin = torch.maximum(old[:-1, None], new[:-1])
    end = torch.minimum(old[1:, None], new[1:])
    return (end - begin).clamp(min=0) / wanted


def fixed_table(key: str, case: Case):
    """A computed position table needs nothing from a file."""
    if key in dict(case.backbone.named_buffers()):
        return case.model[key], 'fixed, computed by the model'
    return None


def resize_space(key: str, case: Case):
    """Position embeddings of a square grid, bicubic; the class token is kept."""
    table, target = case.file[key], case.model[key]
    grid = getattr(case.backbone, 'spatial_grid', None)
    if grid is None or not _same_channels(table, target):
        return None
    extra = target.shape[1] - math.prod(grid)
    side = math.isqrt(max(table.shape[1] - extra, 0))
    if side == 0 or side**2 + extra != table.shape[1]:
        return None
    resized = resize_pos_embed(table, (side, side), grid)
    return resized, f'bicubic from {side}x{side} to {grid[0]}x{grid[1]}'


def resize_time(key: str, case: Case):
    """Temporal embeddings of another length, linear."""
    table, target = case.file[key], case.model[key]
    if not _same_channels(table, target) or table.shape[1] == 0:
        return None
    length = target.shape[1]
    how = f'linear from {table.shape[1]} to {length} positions'
    return resize_temporal_embed(table, length), how


def match_classes(key: str, case: Case):
    """A head for other classes: rows are picked by label name, else it is fresh."""
    head, target = case.file[key], case.model[key]
    if head.ndim == 0 or head.shape[1:] != target.shape[1:]:
        return None
    if case.other_classes is not None:
        return None, f'it was trained for other classes: {case.other_classes}'
    if case.rows is not None:
        return head[case.rows], f'{len(case.rows)} rows of {len(head)} by label name'
    return None, f'{len(head)} classes in the file, {len(target)} in the model'


def _same_channels(table: Tensor, target: Tensor) -> bool:
    return table.ndim == 3 and table.shape[::2] == target.shape[::2]


# --- keys that only the model has: (tensor, or None for fresh, and how) ----------


def no_frames_in_an_image(key: str, case: Case):
    """An image file has no temporal embedding: the model's stays zero."""
    kernel, table = case.file.get('patch_embed.proj.weight'), case.model[key]
    if kernel is None or kernel.ndim != 4:
        return None
    if table.shape[1] == 1:
        return torch.zeros_like(table), 'zero: one frame has no place in time'
    return None, 'an image file has none'


def copy_forward(key: str, case: Case):
    """What both directions share in the file is copied for the backward one."""
    layer, kind = key.split('.mixer.')
    forward = case.file.get(f'{layer}.mixer.{forward_name(kind)}')
    if _has_mixer(case.file, kind) or forward is None:
        return None
    if forward.shape != case.model[key].shape:
        return None
    return forward.clone(), 'copied from the forward direction'


def no_norm_in_pretraining(key: str, case: Case):
    """A masked pre-training file names its final norm differently: fresh."""
    return (None, 'not in a pre-training file') if _pretraining(case.file) else None


def behind_backbone(key: str, case: Case):
    """Parameters after the backbone that the file lacks: fresh."""
    torn = key.startswith('head.') and any(k.startswith('head.') for k in case.file)
    return None if torn or key in case.encoder else (None, 'not in the file')


# --- keys that only the file has: why they are not used ---------------------------


def other_head(key: str, case: Case):
    """A head that the model does not have, or has in another form."""
    return 'the model has no such head'


def shared_backward(key: str, case: Case):
    """Parameters of the backward direction, where the model shares the forward ones."""
    if _has_mixer(case.model, key.split('.mixer.')[1]):
        return None
    return 'the model has no backward parameters of its own for these'


def pretraining_only(key: str, case: Case):
    """Decoder and final norm of masked pre-training."""
    return 'for masked pre-training only' if _pretraining(case.file) else None


def teaching_only(key: str, case: Case):
    """The projection of tokens onto a teacher's tokens."""
    return 'for distillation only'


def _has_mixer(tensors: Mapping[str, Tensor], kind: str) -> bool:
    return any(key.endswith(f'.mixer.{kind}') for key in tensors)


def _pretraining(file: Mapping[str, Tensor]) -> bool:
    fine_tuned = {'norm_f.weight', 'fc_norm.weight'}
    return 'norm.weight' in file and not fine_tuned & set(file)


CLASSIFIER = r'(head|cls_head\.probes\.\d+\.fc_cls)\.(weight|bias)'

# The first rule whose pattern matches the key and that does not return None decides.
RESHAPED = (
    (r'patch_embed\.proj\.weight', inflate),
    (r'pos_embed', fixed_table),
    (r'pos_embed', resize_space),
    (r'temporal_pos_embedding', resize_time),
    (CLASSIFIER, match_classes),
)
MISSING = (
    (r'temporal_pos_embedding', no_frames_in_an_image),
    (IN_BACKWARD, copy_forward),
    (r'pos_embed', fixed_table),
    (r'(norm_f|fc_norm)\.(weight|bias)', no_norm_in_pretraining),
    (r'.*', behind_backbone),
)
UNUSED = (
    (r'(cls_)?head\..*', other_head),
    (IN_BACKWARD, shared_backward),
    (r'(clip_decoder|decoder|encoder_to_decoder)\..*|mask_token', pretraining_only),
    (r'norm\.(weight|bias)', pretraining_only),
    (r'distill_head\..*', teaching_only),
)


def first(rules: tuple, key: str, case: Case):
    """The result of the first of ``rules`` that applies to ``key``, or None."""
    results = (rule(key, case) for pattern, rule in rules if re.fullmatch(pattern, key))
    return next((result for result in results if result is not None), None)
