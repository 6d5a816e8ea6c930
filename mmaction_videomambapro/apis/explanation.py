"""Why a model answers what it answers: what in a video speaks for a class."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose

from ..errors import UsageError
from ..explain.relevance import check_explainable, relevance
from ..visualization.heat_maps import (
    MEANING,
    check_ending,
    draw_heat_maps,
    film_heat_maps,
)
from .inferencer import VideoInferencer, reading_steps, reason_of, type_name
from .inputs import Input

CROPS = 'ThreeCrop', 'TenCrop'
FIXED = ('SampleSSv2',)  # samplers whose number of clips is part of their rule
ROWS = 6  # layers that are shown at most
LONGEST = 48  # letters of a name in a title
# of methods that do not look at the class: what high values mean, and low ones
WORDS = {'rollout': ('much used', 'not used'), 'random': ('drawn high', 'drawn low')}


@dataclass
class Explanation:
    """What in a clip speaks for a class.

    Attributes:
        name (str): Of the video.
        label (str): The class.
        score (float): The model's score of the class for this clip.
        method (str): One of ``explain.relevance.METHODS``.
        frames (np.ndarray): (T, H, W, 3) uint8 RGB, as the model saw them.
        times (np.ndarray | None): (T,), in seconds from the video's first frame, where
            they are known.
        map (np.ndarray): (T', H', W'), a number per patch. What speaks for the class is
            above 0, what speaks against it below.
        layers (Mapping[str, np.ndarray]): Maps of single layers, by their names.
    """

    name: str
    label: str
    score: float
    method: str
    frames: np.ndarray
    times: np.ndarray | None
    map: np.ndarray
    layers: Mapping[str, np.ndarray]

    def save(self, out: str) -> None:
        """Write a picture; or a film, without layers, if ``out`` ends in ``.mp4``.

        Raises:
            UsageError: If it ends in something else.
            OSError: If it cannot be written.
        """
        check_ending(out)
        words = WORDS.get(self.method, MEANING)
        if Path(out).suffix.lower() == '.mp4':
            film_heat_maps(self.frames, self.map, out, self.title, self.times, words)
            return
        maps = {'relevance': self.map, **self.layers}
        note = f'{osp.basename(self.name)}, by {self.method}'
        if self.method in WORDS:
            note += ', which does not depend on the class'
        if self.layers:
            note += '. Of a layer: what enters it. Each row has a scale of its own'
        draw_heat_maps(self.frames, maps, out, self.title, note, self.times, words)

    @property
    def title(self) -> str:
        """The class and its score, as a question where the map answers it."""
        name = self.label
        name = name if len(name) <= LONGEST else f'{name[: LONGEST - 1]}…'
        score = f'{self.score:{".1%" if 0 <= self.score <= 1 else ".2f"}}'
        answer = f'“{name}” ({score})'
        return f'Answer: {answer}' if self.method in WORDS else f'Why {answer}?'


def explain(
    inferencer: VideoInferencer,
    source: Input,
    target: int | str | None = None,
    method: str = 'lrp',
    layers: bool = False,
) -> Explanation:
    """Say what in a video speaks for a class.

    The model sees a single view of it: the test pipeline's, with one clip and the crop
    of the centre.

    Args:
        inferencer (VideoInferencer): The model.
        source (Input): The video, from :func:`find_inputs`.
        target (int | str, optional): A class by number or name. Defaults to None: that
            with the highest score for this view.
        method (str): One of ``explain.relevance.METHODS``. Defaults to 'lrp'.
        layers (bool): Also explain by what enters each layer, of a few of them.
            Defaults to False.

    Raises:
        UsageError: If the video is broken, the class is unknown, or the method does not
            apply to the model.
    """
    model = inferencer.model
    check_explainable(model)
    sample, times = _view(inferencer, source)
    answer: Any
    (answer,) = inferencer.ask([sample])
    scores = answer.pred_score.float().flatten().cpu().numpy()
    number = _number(target, inferencer.classes, scores)
    data = model.data_preprocessor(inferencer.collate_fn([sample]), False)
    inputs = data['inputs'].flatten(0, 1)

    def find(layer: int | None = None) -> np.ndarray:
        found = relevance(model, inputs, number, method, layer)[0].float().cpu().numpy()
        if not np.isfinite(found).all():
            raise UsageError(f'{method} gives numbers that are not finite')
        return found

    depth = len(getattr(model.backbone, 'layers', None) or model.backbone.blocks)
    shown = np.linspace(0, depth - 1, min(depth, ROWS)).round().astype(int).tolist()
    return Explanation(
        name=source.name,
        label=inferencer.label(number),
        score=float(scores[number]),
        method=method,
        frames=sample['inputs'][0].movedim(0, -1).contiguous().numpy(),
        times=times,
        map=find(),
        layers={f'layer {i + 1}': find(i) for i in shown if layers},
    )


def _view(inferencer: VideoInferencer, source: Input) -> tuple[dict, Any]:
    """The sample of one view of a video, and when its frames are shown."""
    try:
        sample, times = _run(_one_view(inferencer.steps), source)
    except Exception as error:  # decoders raise whatever they like
        reason = reason_of(error)
        named = reason if source.name in reason else f'{source.name}: {reason}'
        raise UsageError(named) from error
    views = sample.get('inputs')
    if not torch.is_tensor(views) or views.ndim != 5 or views.dtype != torch.uint8:
        raise UsageError(
            "pictures need a pipeline that gives frames as they are, in 'NCTHW'"
        )
    middle = len(views) // 2
    length = views.shape[2]
    if times is not None:
        clips = times.reshape(-1, length) if not len(times) % length else [None]
        times = clips[middle % len(clips)]
    return dict(sample, inputs=views[middle : middle + 1]), times


def _one_view(steps) -> list[dict]:
    """A test pipeline, with one clip and the crop of the centre where that can be."""
    steps = reading_steps(steps)
    for i, step in enumerate(steps):
        if 'num_clips' in step and type_name(step) not in FIXED:
            steps[i] = dict(step, num_clips=1)
            steps[i].pop('twice_sample', None)
        elif type_name(step) in CROPS:
            steps[i] = dict(type='CenterCrop', crop_size=step['crop_size'])
    return steps


def _run(steps, source):
    data, times = source.sample(), None
    for step in Compose(steps).transforms:
        data = step(data)
        reader = data.get('video_reader')
        if reader is not None and 'frame_inds' in data:
            times = _times(reader, np.asarray(data['frame_inds']).reshape(-1))
    return data, times


def _times(reader, inds):
    known = getattr(reader, 'times', None)
    if known is not None:
        return known[inds] - known[0]
    return inds / reader.fps if reader.fps else None


def _number(target, classes, scores) -> int:
    """The number of a class that is named or numbered.

    Raises:
        UsageError: If there is no such class.
    """
    if target is None:
        return int(scores.argmax())
    if classes and target in classes:
        return classes.index(target)
    try:
        number = int(target)
    except ValueError:
        number = -1
    if 0 <= number < len(scores):
        return number
    near = get_close_matches(str(target), classes or [], 1)
    hint = f'; did you mean {near[0]}?' if near else ''
    raise UsageError(
        f'the model has no class {target}, only 0 to {len(scores) - 1}'
        f'{" and their names" if classes else ""}{hint}'
    )
