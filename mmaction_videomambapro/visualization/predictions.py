"""Draws test clips with their predictions."""

from __future__ import annotations

from collections import Counter
from os import PathLike

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..datasets.rows import quote
from ..evaluation.results import ResultError, top_k
from .pictures import save

FRAMES, BARS = 6, 4


def draw_predictions(
    cfg: Config,
    results: list[dict],
    out: str | PathLike,
    samples: int = 8,
    classes: list[str] | None = None,
) -> None:
    """Draw frames of some test clips, their labels and predictions, as one picture.

    The frames are those of the first view that the model saw.

    Args:
        cfg (Config): The config that was tested.
        results (list[dict]): From :func:`..evaluation.results.load_results`.
        out (str | PathLike): The picture; its extension selects the format.
        samples (int): Number of clips. Up to half of them are the most confident
            mistakes, the others are spread evenly over the labels.
            Defaults to 8.
        classes (list[str], optional): Class names in label order. Defaults to None:
            those of the test set, if it has them.

    Raises:
        ResultError: If the results are not from the config's test set.
    """
    dataset = test_set_of(cfg, results)
    classes = classes or dataset.metainfo.get('classes')
    labels = [int(r['gt_label']) for r in results]
    chosen = _choose(results, labels, samples)

    size = (FRAMES * 1.5 + 2, len(chosen) * 1.75 + 0.3)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.03, wspace=0))
    widths = [*[1] * FRAMES, 1.2]
    rows = figure.subplots(len(chosen), FRAMES + 1, squeeze=False, width_ratios=widths)
    for (*row, bars), i in zip(rows, chosen):
        clip = first_view(dataset[i])
        for axis, t in zip(row, np.linspace(0, len(clip) - 1, FRAMES).round()):
            axis.imshow(clip[int(t)], interpolation='bicubic')
            axis.axis('off')
        predicted, score = int(results[i]['pred_label']), results[i]['pred_score']
        right = predicted == labels[i]
        text = f'{_name(predicted, classes)} ({float(score[predicted]):.2f})'
        if not right:
            text += f', should be {_name(labels[i], classes)}'
        colour = 'darkgreen' if right else 'darkred'
        row[0].set_title(text, loc='left', fontsize=9, color=colour, parse_math=False)
        _draw_scores(bars, results[i], classes, labels[i])
    figure.suptitle(
        f'top-1 {top_k(results, 1):.3f}, top-5 {top_k(results, 5):.3f} '
        f'on {len(results)} clips'
    )
    save(figure, out)


def _draw_scores(axis, result, classes, label):
    """Bars of the highest scores, in descending order from the top."""
    scores = torch.as_tensor(result['pred_score']).float()
    top = scores.topk(min(BARS, len(scores)))
    for place, (score, k) in enumerate(zip(top.values.tolist(), top.indices.tolist())):
        colour = 'darkgreen' if k == label else 'darkred'
        axis.barh(place, 1, 0.2, color='whitesmoke')
        axis.barh(place, score, 0.2, color=colour)
        name = _name(k, classes)
        axis.text(0, place - 0.2, name, fontsize=8, clip_on=True, parse_math=False)
    axis.set(xlim=(-0.06, 1), ylim=(BARS - 0.6, -0.75))
    axis.axis('off')


def test_set_of(cfg: Config, results: list[dict]) -> BaseActionDataset:
    """Build the test set of a config, of whose samples there are results.

    Raises:
        ResultError: If it has another number of samples.
    """
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    if len(dataset) != len(results):
        raise ResultError(
            f'the test set of the config has {len(dataset)} samples, '
            f'the results {len(results)}'
        )
    return dataset


def first_view(sample: dict) -> np.ndarray:
    """The first view of a sample that the model saw, (T, H, W, 3)."""
    clip = sample['inputs']
    while clip.ndim > 4:
        clip = clip[0]
    return clip.movedim(0, -1).numpy()  # (C, T, H, W) -> (T, H, W, C)


def _choose(results, labels, samples):
    """Mistakes first, the most confident on top, then the first clip of each label."""
    predicted = [int(r['pred_label']) for r in results]
    readable = [i for i, label in enumerate(labels) if label >= 0]  # see ListDataset
    wrong = [i for i in readable if predicted[i] != labels[i]]
    wrong.sort(key=lambda i: -float(results[i]['pred_score'][predicted[i]]))
    rest = [i for i in readable if predicted[i] == labels[i]]
    seen, rank = Counter(), {}
    for i in rest:
        rank[i] = seen[labels[i]]
        seen[labels[i]] += 1
    rest.sort(key=lambda i: (rank[i], labels[i]))
    mistakes = wrong[: max(samples // 2, samples - len(rest))]
    return mistakes + rest[: samples - len(mistakes)]


def _name(label: int, classes: list[str] | None) -> str:
    if classes and label < len(classes):
        return quote(classes[label])
    return f'class {label}'
