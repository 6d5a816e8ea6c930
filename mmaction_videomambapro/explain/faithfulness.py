"""How far a map of relevance can be trusted, as numbers.

Deletion takes a clip's patches away in the order of the map, the most relevant first;
insertion puts them in the same order into a clip that has none. A map that is right
makes the probability of the class fall early, and rise early. Both curves, and the
areas under them, are those of `RISE <https://arxiv.org/abs/1806.07421>`_, with one
difference: RISE begins an insertion with the blurred picture, but a blurred video shows
what moves. (The demo's model, which only motion tells anything, keeps 99 % of its
probability behind a Gaussian of 4 pixels.) So the clip's mean colour stands for patches
that are gone in both curves, as nothing to see does for :func:`.relevance.relevance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .relevance import mean_colour


class Curves(NamedTuple):
    """Probabilities of each clip's class, both (N, steps + 1).

    Attributes:
        deletion (Tensor): From the whole clip to one without patches; a low area is
            good.
        insertion (Tensor): From a clip without patches to the whole; a high area is
            good.
    """

    deletion: Tensor
    insertion: Tensor

    def areas(self) -> tuple[Tensor, Tensor]:
        """The area under each curve, (N,), between 0 and 1."""
        deletion, insertion = (
            (x[:, 1:] + x[:, :-1]).mean(1) / 2 for x in (self.deletion, self.insertion)
        )
        return deletion, insertion


@torch.no_grad()
def curves(
    model: nn.Module,
    inputs: Tensor,
    maps: Tensor,
    target: Tensor | None = None,
    steps: int = 16,
    batch_size: int = 32,
) -> Curves:
    """Delete and insert the patches of clips in the order of their maps.

    Args:
        model (nn.Module): A recognizer in evaluation mode.
        inputs (Tensor): Normalised clips, (N, 3, T, H, W).
        maps (Tensor): Relevance of the patches, (N, T', H', W').
        target (Tensor, optional): A class per clip, (N,). Defaults to None (the
            predicted one).
        steps (int): In how many steps all patches go. Defaults to 16.
        batch_size (int): Clips that the model sees at once. Defaults to 32.
    """
    if target is None:
        scores = [_scores(model, x) for x in inputs.split(batch_size)]
        target = torch.cat(scores).argmax(1)
    ranks = maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(1)
    ends = [round(ranks.shape[1] * i / steps) for i in range(steps + 1)]
    # all pictures of all clips in a row, so that batches are full for any number of
    # steps; False deletes what comes first in the map, True keeps it
    todo = [
        (clip, end, kept)
        for clip in range(len(inputs))
        for kept in (False, True)
        for end in ends
    ]
    found = []
    for start in range(0, len(todo), batch_size):
        clip, end, kept = torch.tensor(
            todo[start : start + batch_size], device=inputs.device
        ).T
        shown = (ranks[clip] < end[:, None]) == kept[:, None].bool()
        shown = shown.unflatten(1, maps.shape[1:])[:, None].to(inputs)
        whole = inputs[clip]
        shown = F.interpolate(shown, whole.shape[2:]).bool()
        chances = _scores(model, whole.where(shown, mean_colour(whole))).softmax(1)
        found.append(chances.gather(1, target[clip][:, None]))
    return Curves(*torch.cat(found).view(len(inputs), 2, steps + 1).unbind(1))


def _scores(model, inputs):
    scores, _ = model.extract_feat(inputs[:, None], stage='head')
    return scores


def coverage(boxes: np.ndarray, shape: Sequence[int], grid: Sequence[int]) -> Tensor:
    """Which part of each patch of a clip lies inside the box of its frames.

    Args:
        boxes (ndarray): Left, top, right and bottom in pixels for each frame, (T, 4).
        shape (Sequence[int]): Of the clip, (T, H, W).
        grid (Sequence[int]): Of patches, (T', H', W').

    Returns:
        Tensor: (T', H', W'), from 0 to 1.
    """
    left, top, right, bottom = torch.as_tensor(boxes, dtype=torch.float32).T
    rows = _overlap(top, bottom, shape[1], grid[1])
    columns = _overlap(left, right, shape[2], grid[2])
    frames = rows[:, :, None] * columns[:, None]
    tubelet = shape[0] // grid[0]
    return frames[: grid[0] * tubelet].unflatten(0, (-1, tubelet)).mean(1)


def _overlap(low, high, size, patches):
    """Which part of each patch along one side lies in the intervals, (T, patches)."""
    edges = torch.linspace(0, size, patches + 1)
    low, high = low[:, None], high[:, None]
    inside = edges[1:].minimum(high) - edges[:-1].maximum(low)
    return inside.clamp(min=0) * patches / size


def share_inside(maps: Tensor, covered: Tensor) -> Tensor:
    """Share of the relevance for a class that lies inside boxes.

    Relevance against the class, which is negative, is left out; that of a patch is
    spread evenly over its pixels.

    Args:
        maps (Tensor): (N, T', H', W').
        covered (Tensor): From :func:`coverage`, (N, T', H', W'). Its mean is the
            boxes' share of the clip.

    Returns:
        Tensor: (N,), NaN where no relevance is positive.
    """
    positive = maps.clamp(min=0).flatten(1)
    return (positive * covered.to(maps).flatten(1)).sum(1) / positive.sum(1)
