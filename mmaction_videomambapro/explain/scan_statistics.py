"""VideoMambaPro's two limitations as numbers, from the hidden attention of a model.

The paper (arXiv 2406.19006) blames two properties of Mamba's token interactions,
*historical decay* and *element contradiction*, and answers with a residual and a mask.
Its definitions are not public in full, so this is our reading of its words:

- Historical decay: a weight falls with the distance between two tokens, so that those
  far back hardly count. Measured as mean absolute weight against distance in tokens,
  share of the weight against distance in frames, mean distance of the weight, and the
  share of the scans' first tokens, which is what the residual raises.
- Double counting: both scans contain the diagonal, which the mask empties in one of
  them. Measured as the share of the diagonal.
- Element contradiction: one number serves several relations that want opposite things.
  Measured as cancelled weight, 1 - ``|sum|`` / sum of sizes, which is 0 where all
  signs agree: between the states of a channel, which together make one weight; between
  channels, which share B and C; and between the directions, of what a token gives
  another one and what it gets from it. And as the effective rank of the matrix, the
  exponential of the entropy of its singular values.

All are of S, the sum of both scans without D, gate and convolution; the share of the
diagonal is also given with D. Weights are averages of absolute values over channels.
Mask and residual are switched for the same weights and the same inputs of each layer,
so that nothing else differs. Output tokens and channels are sampled, the former also
bound the rank from above; input tokens are not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import UsageError
from ..models.backbones.videomamba import VideoMamba
from ..models.layers.mixer import MaskedResidualBiMamba
from .attention import HiddenAttention

# By whether mask and residual are on.
Settings = dict[bool, 'LayerStatistics']


class LayerStatistics(NamedTuple):
    """Statistics of a mixer; all tensors, numbers without dimensions.

    Attributes:
        tokens (Tensor): Mean weight of the token k later, for k from -(L - 1) to L - 1,
            without the first tokens of the scans. Earlier tokens are those of the
            forward scan. NaN if no sampled token has such a neighbour.
        first (Tensor): Mean weight of the scans' first tokens, likewise.
        frames (Tensor): Share of the frame k later, for k from -(T - 1) to T - 1.
        diagonal (Tensor): Share of the diagonal.
        diagonal_with_skip (Tensor): Share of the diagonal if D is part of it.
        first_share (Tensor): Share of the scans' first tokens.
        distance (Tensor): Mean distance of the weight off the diagonal, in tokens.
        states (Tensor): Cancelled weight between states.
        channels (Tensor): Cancelled weight between channels.
        directions (Tensor): Cancelled weight between directions; NaN if there is one.
        rank (Tensor): Effective rank, mean over channels.
    """

    tokens: Tensor
    first: Tensor
    frames: Tensor
    diagonal: Tensor
    diagonal_with_skip: Tensor
    first_share: Tensor
    distance: Tensor
    states: Tensor
    channels: Tensor
    directions: Tensor
    rank: Tensor


class Rows(NamedTuple):
    """Sampled rows of one setting, by direction.

    Attributes:
        weights (dict[str, Tensor]): (K, D, L).
        magnitudes (dict[str, Tensor]): Sums of absolute values over states, likewise.
        first (dict[str, Tensor]): The column of the scan's first token, (D, L).
        returned (Tensor | None): What the forward scan passes the other way, from the
            sampled tokens to all, (K, D, L).
        skip (Tensor): D of both directions, (D,).
    """

    weights: dict[str, Tensor]
    magnitudes: dict[str, Tensor]
    first: dict[str, Tensor]
    returned: Tensor | None
    skip: Tensor


@torch.no_grad()
def scan_statistics(
    backbone: VideoMamba,
    clips: Iterable[Tensor],
    tokens: int = 32,
    channels: int = 64,
    seed: int = 0,
) -> list[Settings]:
    """Measure all layers of a backbone, with mask and residual off and on.

    Args:
        backbone (VideoMamba): The backbone, in evaluation mode.
        clips (Iterable[Tensor]): Normalised clips of one size, each (3, T, H, W).
        tokens (int): How many output tokens to sample, of the patches.
            Defaults to 32.
        channels (int): How many channels to sample. Defaults to 64.
        seed (int): Of the samples. Defaults to 0.

    Returns:
        list[Settings]: Of each layer, the statistics by whether mask and residual are
        on; means over the clips.

    Raises:
        UsageError: If the backbone does not scan frame by frame, from the class token
            on: distances in tokens would not be comparable.
    """
    order = backbone.scan_order, backbone.cls_position
    if order != ('spatial_first', 'first'):
        raise UsageError(
            "statistics of scans need a backbone with scan_order='spatial_first' and "
            f"cls_position='first', but this one has {order[0]!r} and {order[1]!r}"
        )
    mixers = [x for x in backbone.modules() if isinstance(x, MaskedResidualBiMamba)]
    found: list[list[Settings]] = []
    for clip in clips:
        inputs, grid = _inputs_of(mixers, backbone, clip)
        generator = torch.Generator().manual_seed(seed)
        length, cls = inputs[0].shape[1], int(backbone.with_cls_token)
        queries = cls + torch.randperm(length - cls, generator=generator)[:tokens]
        some = torch.randperm(mixers[0].d_inner, generator=generator)[:channels]
        layers = []
        for mixer, hidden in zip(mixers, inputs):
            rows = sample_rows(mixer, hidden, queries, some)
            layers.append(
                {on: summarise(x, queries, grid[0], cls) for on, x in rows.items()}
            )
        found.append(layers)
    return [
        {on: _mean([clip[on] for clip in layer]) for on in layer[0]}
        for layer in zip(*found)
    ]


def _mean(parts: list[LayerStatistics]) -> LayerStatistics:
    return LayerStatistics(*(torch.stack(x).nanmean(0) for x in zip(*parts)))


def _inputs_of(mixers, backbone, clip):
    inputs: list[Tensor] = []
    hooks = [
        mixer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        for mixer in mixers
    ]
    try:
        _, grid = backbone.encode(clip[None].to(backbone.norm_f.weight))
    finally:
        for hook in hooks:
            hook.remove()
    return inputs, grid


def sample_rows(
    mixer: MaskedResidualBiMamba, hidden: Tensor, queries: Tensor, channels: Tensor
) -> dict[bool, Rows]:
    """Rows of a mixer's matrices, by whether mask and residual are on.

    Args:
        mixer (MaskedResidualBiMamba): The mixer.
        hidden (Tensor): Its input, (1, L, C).
        queries (Tensor): Output tokens, (K,).
        channels (Tensor): Inner channels, (D,).
    """
    off, on = (
        _restricted(HiddenAttention(mixer, hidden, x, x), channels)
        for x in (False, True)
    )
    weights = _rows(off, on, queries)
    magnitudes = _rows(_of_magnitudes(off), _of_magnitudes(on), queries)
    returned = None
    if 'backward' in off.scans:
        returned = off.columns('forward', queries.tolist(), skip=False)
        returned = returned[:, 0].cpu()
    skip = torch.stack([scan.inputs.D.cpu() for scan in off.scans.values()]).sum(0)
    return {
        x: Rows(weights[x], magnitudes[x], _first(attention), returned, skip)
        for x, attention in ((False, off), (True, on))
    }


def _restricted(attention, channels):
    """The same for some channels only; each has a matrix of its own."""
    one = copy.copy(attention)
    one.x = attention.x[:, channels]
    one.scans = {}
    for direction, scan in attention.scans.items():
        u, delta, A, B, C, D, bias = scan.inputs
        u, delta = u[:, channels], delta[:, channels]
        inputs = u, delta, A[channels], B, C, D[channels], bias[channels]
        one.scans[direction] = scan._replace(inputs=scan.inputs._make(inputs))
    return one


def _of_magnitudes(attention):
    """Weights that add the absolute values of states: decay and steps are positive."""
    one = copy.copy(attention)
    one.scans = {}
    for direction, scan in attention.scans.items():
        B, C = scan.inputs.B.abs(), scan.inputs.C.abs()
        inputs = scan.inputs._replace(B=B, C=C)
        one.scans[direction] = scan._replace(inputs=inputs)
    return one


def _first(attention):
    columns = {}
    for direction in attention.scans:
        found = attention.columns(direction, [_start(direction)], skip=False)
        columns[direction] = found[0, 0].cpu()
    return columns


def _start(direction: str) -> int:
    return -1 if direction == 'backward' else 0


def _rows(off, on, queries):
    """Of both settings: they differ in one column and on the backward diagonal."""
    found = {False: {}, True: {}}
    at, first = torch.arange(len(queries)), _first(on)
    for direction, scan in on.scans.items():
        rows = off.rows(direction, queries.tolist(), skip=False)[:, 0].cpu()
        changed = rows.clone()
        if scan.masked:
            changed[at, :, queries] = 0
        changed[..., _start(direction)] = first[direction][:, queries].mT
        found[False][direction], found[True][direction] = rows, changed
    return found


def summarise(rows: Rows, queries: Tensor, frames: int, cls: int) -> LayerStatistics:
    """Turn rows into statistics.

    Args:
        rows (Rows): The rows.
        queries (Tensor): Which rows they are, (K,).
        frames (int): Frames of tokens, T.
        cls (int): How many class tokens precede the patches.
    """
    scans = torch.stack(list(rows.weights.values()))
    parts = torch.stack(list(rows.magnitudes.values()))
    total = scans.sum(0)  # (K, D, L)
    count, _, length = total.shape
    at = torch.arange(count)
    lag = torch.arange(length) - queries[:, None]  # (K, L)
    weight = total.abs().mean(1)  # (K, L)
    mass = weight.sum(-1)
    with_skip = total[at, :, queries] + rows.skip  # (K, D)
    with_skip = with_skip.abs().mean(-1)
    diagonal = weight[at, queries]
    starts = [_start(direction) for direction in rows.weights]
    others = torch.ones(length, dtype=torch.bool)
    others[starts] = False

    pairs = total.new_tensor(float('nan'))
    if rows.returned is not None:
        # what the later tokens give, and what they get: without the diagonal
        given = rows.weights['backward'] * (lag > 0)[:, None]
        pairs = _cancelled(torch.stack([given, rows.returned * (lag > 0)[:, None]]), 0)
    return LayerStatistics(
        tokens=_mean_by(weight[:, others], lag[:, others], length),
        first=_by_distance(rows.first),
        frames=_by_frame(weight, queries, frames, cls),
        diagonal=(diagonal / mass).mean(),
        diagonal_with_skip=(with_skip / (mass - diagonal + with_skip)).mean(),
        first_share=(weight[:, starts].sum(-1) / mass).mean(),
        distance=(weight * lag.abs()).sum() / (mass - diagonal).sum(),
        states=1 - scans.abs().sum() / parts.sum(),
        channels=_cancelled(total, 1),
        directions=pairs,
        rank=effective_rank(total.transpose(0, 1)).mean(),
    )


def _cancelled(x: Tensor, dim: int) -> Tensor:
    return 1 - x.sum(dim).abs().sum() / x.abs().sum()


def _mean_by(values: Tensor, lag: Tensor, length: int) -> Tensor:
    """Means over all entries of one lag, from -(length - 1); NaN without any."""
    sums = values.new_zeros(2 * length - 1)
    index = (lag + length - 1).flatten()
    counts = sums.index_add(0, index, torch.ones_like(values).flatten())
    return sums.index_add(0, index, values.flatten()) / counts


def _by_distance(first: dict[str, Tensor]) -> Tensor:
    means = {direction: x.abs().mean(0) for direction, x in first.items()}  # (L,)
    forward = means['forward']
    nothing = torch.full_like(forward, float('nan'))
    later = means.get('backward', nothing)
    # the forward scan's first token is i tokens earlier than token i
    return torch.cat([forward[1:].flip(0), nothing[:1], later[:-1].flip(0)])


def _by_frame(weight, queries, frames, cls):
    patches = weight[:, cls:].unflatten(1, (frames, -1)).sum(-1)  # (K, T)
    shares = patches / weight.sum(-1, keepdim=True)
    own = (queries - cls) // ((weight.shape[1] - cls) // frames)
    return _mean_by(shares, torch.arange(frames) - own[:, None], frames)


def effective_rank(matrices: Tensor) -> Tensor:
    """Exponential of the entropy of the singular values: (..., K, L) -> (...)."""
    x = matrices.double()
    squares = torch.linalg.eigvalsh(x @ x.mT).clamp(min=0)
    values = squares.sqrt()
    shares = values / values.sum(-1, keepdim=True)
    return torch.special.entr(shares).sum(-1).exp()
