"""Measures on a list of videos how far the maps of a model can be trusted."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from mmengine.dataset import Compose
from torch import Tensor

from ..datasets.demo_clips import boxes_of_file
from ..errors import UsageError
from ..explain.faithfulness import Curves, coverage, curves, share_inside
from ..explain.relevance import check_explainable, relevance
from ..files import replacing
from .inferencer import VideoInferencer, bar, reading_steps, reason_of
from .inputs import Input


@dataclass(frozen=True)
class Faithfulness:
    """Means over all videos.

    Attributes:
        method (str): How the maps were made.
        deletion (float): Area under the deletion curve; low is good.
        insertion (float): Area under the insertion curve; high is good.
        inside (float | None): Share of the positive relevance inside the boxes.
        box (float | None): The boxes' share of the clip.
        deletion_curve (list[float]): Probabilities, from the whole clip to nothing.
        insertion_curve (list[float]): From nothing to the whole clip.
    """

    method: str
    deletion: float
    insertion: float
    inside: float | None
    box: float | None
    deletion_curve: list[float]
    insertion_curve: list[float]

    @property
    def times(self) -> float | None:
        """How many times more relevance the boxes have than their share of the clip."""
        return self.inside / self.box if self.inside and self.box else None


def measure(
    inferencer: VideoInferencer,
    inputs: Sequence[Input],
    methods: Sequence[str],
    steps: int = 16,
) -> list[Faithfulness]:
    """Measure the maps of the predicted classes.

    The model sees one view of each video, the middle one of its pipeline.

    Args:
        inferencer (VideoInferencer): The model.
        inputs (Sequence[Input]): The videos. If all are demo clips, whose shapes have
            known boxes, relevance inside them is measured too.
        methods (Sequence[str]): Those of :func:`..explain.relevance.relevance`.
        steps (int): Steps of the curves. Defaults to 16.

    Returns:
        list[Faithfulness]: One for each method.

    Raises:
        UsageError: If a video is broken, or the model cannot be explained clip by clip.
    """
    check_explainable(inferencer.model)
    if getattr(inferencer.model.cls_head, 'num_clips', 1) > 1:
        raise UsageError('the head attends several clips together: take one of a clip')
    found: dict[str, list[tuple[Curves, Tensor]]] = {method: [] for method in methods}
    covered = []
    views = _views(inferencer, inputs)
    for i, (clip, boxes) in enumerate(bar(views, len(inputs), True)):
        for method in methods:
            map_ = relevance(inferencer.model, clip, method=method, seed=i)
            drawn = curves(
                inferencer.model, clip, map_, None, steps, inferencer.batch_size
            )
            found[method].append((drawn, map_.cpu()))
        if boxes is not None:
            covered.append(coverage(boxes, clip.shape[2:], map_.shape[1:]))
    boxes = torch.stack(covered) if len(covered) == len(inputs) else None
    return [_mean(method, pairs, boxes) for method, pairs in found.items()]


def _mean(method, pairs, boxes):
    drawn, maps = zip(*pairs)
    both = Curves(*(torch.cat(x).cpu() for x in zip(*drawn)))
    deletion, insertion = (x.mean().item() for x in both.areas())
    inside = box = None
    if boxes is not None:
        inside = share_inside(torch.cat(maps), boxes).nanmean().item()
        box = boxes.mean().item()
    means = (x.mean(0).tolist() for x in both)
    return Faithfulness(method, deletion, insertion, inside, box, *means)


def _views(
    inferencer: VideoInferencer, inputs: Sequence[Input]
) -> Iterator[tuple[Tensor, np.ndarray | None]]:
    """The middle view of each video, (1, 3, T, H, W), and its frames' boxes, (T, 4)."""
    *steps, pack = Compose(reading_steps(inferencer.steps)).transforms
    for source in inputs:
        boxes = boxes_of_file(source.name)
        try:
            sample = source.sample()
            if boxes is not None:
                sample['gt_bboxes'] = boxes  # which transforms scale and crop
            for step in steps:
                sample = step(sample)
            boxes = sample.pop('gt_bboxes', None)
            views = pack(sample)
        except Exception as error:  # decoders raise whatever they like
            raise UsageError(f'{source.name}: {reason_of(error)}') from error
        batch = inferencer.collate_fn([views])
        clips = inferencer.model.data_preprocessor(batch, False)['inputs'][0]
        if boxes is not None:
            # views are crops of clips
            boxes = boxes[sample['frame_inds']] if len(clips) == 1 else None
        middle = len(clips) // 2
        yield clips[middle : middle + 1], boxes


def write_table(found: Sequence[Faithfulness], out: str | os.PathLike) -> None:
    """Write everything as CSV, a row for each method."""
    names = [x.name for x in fields(Faithfulness)][:5]
    with replacing(out) as file:
        table = csv.writer(file)
        shares = np.linspace(0, 1, len(found[0].deletion_curve)).round(4).tolist()
        table.writerow(
            [*names, *(f'{x} {s}' for x in ('deletion', 'insertion') for s in shares)]
        )
        for one in found:
            row = asdict(one)
            numbers = [row[name] for name in names]
            table.writerow([*numbers, *one.deletion_curve, *one.insertion_curve])
