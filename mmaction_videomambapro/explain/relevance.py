"""Which patches of a clip spoke for a class: five methods, one interface."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmaction.models.backbones.vit_mae import VisionTransformer
from mmaction.models.heads import TimeSformerHead
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..models.backbones import VideoMamba
from ..models.heads import AttentiveHead
from ..models.layers.orders import change, reorder
from .freezing import twin_of
from .rollout import rollout

METHODS = 'lrp', 'gradient', 'rollout', 'gradcam', 'random'


def relevance(
    model: Any,
    inputs: Tensor,
    target: int | Sequence[int] | Tensor | None = None,
    method: str = 'lrp',
    layer: int | None = None,
    seed: int = 0,
) -> Tensor:
    """A number for each patch of each clip: how much it spoke for a class.

    'lrp' and 'gradient' take the gradient of the score times the input, less the clip's
    mean colour; 'lrp' that of the network with its factors held fixed (see
    :mod:`.freezing`). Its map, plus what that colour and constants added on the way
    (see :func:`shares`), is the score. 'gradcam' is Grad-CAM
    on the tokens of one layer, and not negative. 'rollout' follows the mixers alone,
    not the class, back from the tokens that the head reads (see :mod:`.rollout`).
    'random' is what a method has to beat.

    The model is not changed, and may be in training mode: what is explained is its
    evaluation mode, in its own precision.

    Args:
        model (nn.Module): A Recognizer3D without neck, whose backbone is a VideoMamba,
            a VideoMambaPro or MMAction2's VisionTransformer.
        inputs (Tensor): Normalised clips on the model's device, (N, 3, T, H, W); views
            of a video are clips of their own.
        target (int | Sequence[int] | Tensor, optional): The class, one for all or one
            for each score. Defaults to None (the predicted class).
        method (str): One of ``METHODS``. Defaults to 'lrp'.
        layer (int, optional): Explain by the tokens that enter this layer, counted from
            0. Defaults to None: 'lrp' and 'gradient' go down to the pixels, 'rollout'
            to the first layer, and 'gradcam' takes the last.
        seed (int): Of 'random'. Defaults to 0.

    Returns:
        Tensor: (N, T', H', W'), the backbone's grid of patches.

    Raises:
        UsageError: If the method cannot explain this model, or an argument does not
            fit it.
    """
    if method not in METHODS:
        raise UsageError(f'method is {method!r}, but must be one of {METHODS}')
    check_explainable(model)
    depth = len(_layers(model.backbone))
    if layer is not None and not 0 <= layer < depth:
        raise UsageError(f'layer is {layer}, but the model has layers 0 to {depth - 1}')
    if inputs.ndim != 5:
        raise UsageError(
            'inputs must be clips (N, 3, T, H, W), but have shape '
            f'{tuple(inputs.shape)}'
        )
    grid = _grid(model.backbone, inputs)
    if 0 in grid:
        raise UsageError(
            f'clips of {tuple(inputs.shape[2:])} (frames, height, width) are smaller '
            f'than one patch of {_patch_shape(model.backbone)}'
        )
    if method == 'random':
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(len(inputs), *grid, generator=generator).to(inputs)
    with _own_gradients(inputs.device):
        clips = inputs.detach().clone()  # which may come from an inference mode
        if method == 'rollout':
            row = rollout(twin_of(model.backbone, frozen=True), clips, layer or 0)
            return _patches(model.backbone, row).unflatten(1, grid)
        twin = _twin(model, frozen=method == 'lrp')
        if method == 'gradcam':
            tokens, gradient = _at_layer(
                twin, clips, target, depth - 1 if layer is None else layer
            )
            tokens, gradient = (_patches(model.backbone, x) for x in (tokens, gradient))
            weights = gradient.mean(1, keepdim=True)
            return (tokens * weights).sum(-1).relu().unflatten(1, grid)
        if layer is None:
            leaf = clips.requires_grad_()
            (gradient,) = torch.autograd.grad(_score(twin, leaf, target).sum(), leaf)
            details = leaf.detach() - mean_colour(inputs)
            return _sum_in_patches(model.backbone, details * gradient)
        tokens, gradient = _at_layer(twin, clips, target, layer)
        return _patches(model.backbone, (tokens * gradient).sum(-1)).unflatten(1, grid)


def check_explainable(model: Any) -> None:
    """Refuse, in one sentence, a model that cannot be explained.

    Raises:
        UsageError: What it is, and what there is to do.
    """
    backbone, head = (getattr(model, x, None) for x in ('backbone', 'cls_head'))
    if not isinstance(backbone, (VideoMamba, VisionTransformer)):
        raise UsageError(
            'maps of patches need a recognizer whose backbone is VideoMamba, '
            f'VideoMambaPro or VisionTransformer, not {_kind(backbone or model)}'
        )
    if not isinstance(head, (TimeSformerHead, AttentiveHead)):
        raise UsageError(
            'maps of patches need a cls_head that is TimeSformerHead or AttentiveHead, '
            f'not {_kind(head)}'
        )
    if getattr(model, 'with_neck', False):
        raise UsageError(f'models with a neck, {_kind(model.neck)}, are not explained')


def shares(
    model: Any, inputs: Tensor, target: int | Sequence[int] | Tensor | None = None
) -> dict[str, float]:
    """How 'lrp' shares out the scores of all clips together.

    What a clip's mean colour adds, and what does not depend on its pixels, have shares
    of their own.

    Args:
        model (nn.Module): As for :func:`relevance`.
        inputs (Tensor): Likewise.
        target (int | Sequence[int] | Tensor, optional): Likewise.

    Returns:
        dict[str, float]: 'patches' (the sum of the map), 'colour' (the clips' mean
        colours), 'embeddings' (the positions, the class token and the bias of the patch
        embedding), 'biases' (those of all
        layers above, and a head's query) and 'score', which is their sum.

    Raises:
        UsageError: As :func:`relevance`.
    """
    check_explainable(model)
    with _own_gradients(inputs.device):
        twin = _twin(model, frozen=True)
        colour = mean_colour(inputs).requires_grad_()
        details = (inputs.detach() - mean_colour(inputs)).requires_grad_()
        found = []
        _before(_layers(twin.backbone)[0], lambda x: found.append(x))
        constants = [
            x.requires_grad_()
            for name, x in twin.named_parameters()
            if name.endswith(('bias', '.query'))
            and not any(x in name for x in ('patch_embed.', 'dt_proj'))
        ]
        score = _score(twin, colour + details, target).sum()
        leaves = [details, colour, *found, *constants]
        gradients = torch.autograd.grad(score, leaves, allow_unused=True)
        patches, mean, tokens, *biases = (
            0.0 if g is None else (x * g).sum().item()
            for x, g in zip(leaves, gradients)
        )
        return dict(
            patches=patches,
            colour=mean,
            embeddings=tokens - patches - mean,
            biases=sum(biases),
            score=score.item(),
        )


def mean_colour(clips: Tensor) -> Tensor:
    """The mean colour of each clip, (N, 3, 1, 1, 1), which stands for nothing to see.

    0 would be the mean of the data set for which the clips were normalised: a patch of
    a dark clip would have a share just for not being brighter.
    """
    return clips.detach().mean((2, 3, 4), keepdim=True)


@contextmanager
def _own_gradients(device):
    """Gradients and full precision, whatever surrounds the call."""
    precision = torch.autocast(device.type, enabled=False)
    with torch.inference_mode(False), torch.enable_grad(), precision:
        yield


def _twin(model, frozen):
    both = nn.Module()
    both.backbone = twin_of(model.backbone, frozen)
    both.cls_head = twin_of(model.cls_head, frozen)
    return both


def _score(model, clips, target):
    """The score of the class, one for each row of scores."""
    scores = model.cls_head(model.backbone(clips))
    if target is None:
        target = scores.argmax(1)
    target = torch.as_tensor(target, device=scores.device).clone()
    rows, classes = scores.shape
    if target.ndim > 1 or target.numel() not in (1, rows):
        raise UsageError(
            f'target holds {target.numel()} classes, but there are {rows} scores'
        )
    if target.is_floating_point() or not bool(
        ((target >= 0) & (target < classes)).all()
    ):
        raise UsageError(
            f'target is {target.tolist()}, but must be classes, 0 to {classes - 1}'
        )
    return scores.gather(1, target.expand(rows)[:, None])


def _at_layer(model, clips, target, layer):
    """The tokens that enter a layer and the score's gradient of them, (N, L, C).

    They are in the order of the output, whatever that of the layer.
    """
    found = []

    def begin_here(x):
        found.append(x.detach().requires_grad_())
        return found[0]

    backbone = model.backbone
    _before(_layers(backbone)[layer], begin_here)
    score = _score(model, clips, target).sum()
    (gradient,) = torch.autograd.grad(score, found)
    order = None
    if isinstance(backbone, VideoMamba):
        order = backbone.sequences(_grid(backbone, clips))[layer]
    tokens, gradient = (
        reorder(x, change(order, None)) for x in (found[0].detach(), gradient)
    )
    return tokens, gradient


def _before(layer, function):
    """Call a function with a twin's tokens, which its result, if any, replaces."""

    def hook(_, args):
        tokens = function(args[0])
        return None if tokens is None else (tokens, *args[1:])

    layer.register_forward_pre_hook(hook)


def _layers(backbone):
    return backbone.layers if isinstance(backbone, VideoMamba) else backbone.blocks


def _patches(backbone, tokens):
    """Without the class token, (N, L) or (N, L, C)."""
    return tokens[:, int(getattr(backbone, 'with_cls_token', False)) :]


def _patch_shape(backbone):
    embed = backbone.patch_embed
    conv = embed.proj if isinstance(backbone, VideoMamba) else embed.projection
    return conv.kernel_size


def _grid(backbone, inputs):
    """Patches along time, height and width."""
    return tuple(n // p for n, p in zip(inputs.shape[2:], _patch_shape(backbone)))


def _sum_in_patches(backbone, x):
    """(N, C, T, H, W) -> (N, T', H', W')."""
    shape = _patch_shape(backbone)
    return F.avg_pool3d(x.sum(1, keepdim=True), shape, divisor_override=1).squeeze(1)


def _kind(module):
    return 'none' if module is None else type(module).__name__
