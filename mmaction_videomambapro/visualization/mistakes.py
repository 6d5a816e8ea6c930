"""Draws the clips of wrong predictions."""

from __future__ import annotations

import os.path as osp
from collections.abc import Callable, Sequence
from os import PathLike

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from ..datasets.rows import quote
from ..datasets.videos import Video, VideoError
from ..evaluation.confusion import certain_mistakes, file_of
from ..evaluation.results import ResultError
from .pictures import save
from .predictions import first_view, test_set_of

FRAMES = 6
SHORT_SIDE = 160  # pixels of a frame
WIDTH, TALL, CAPTION, TITLE = 10.2, 1.3, 0.3, 0.4  # inches

Clips = Callable[[int], np.ndarray]


def clips_of_files(results: list[dict]) -> Clips:
    """Read frames, evenly spread, from the videos that results name.

    Args:
        results (list[dict]): From ``evaluation.results.load_results``.

    Returns:
        Callable[[int], np.ndarray]: From a sample's index to frames, (T, H, W, 3). It
        raises OSError or VideoError if there are none.
    """

    def frames(i):
        file = file_of(results[i])
        if file is None:
            raise VideoError('the result names no file; give --config')
        if not osp.isfile(file):  # a result may not make this machine call another
            raise VideoError(f'{file} is not a video here; give --config')
        with Video(file) as video:
            places = np.linspace(0, len(video) - 1, FRAMES + 2)[1:-1].round()
            return np.stack(video.frames(places.astype(int).tolist(), SHORT_SIDE))

    return frames


def clips_of_dataset(
    cfg: Config, results: list[dict]
) -> tuple[Clips, list[str] | None]:
    """Read the clips that the model saw, the first view of each.

    Args:
        cfg (Config): The config that was tested.
        results (list[dict]): From ``evaluation.results.load_results``.

    Returns:
        tuple[Callable[[int], np.ndarray], list[str] | None]: As from
        :func:`clips_of_files`, and the names of the classes, if they are known.

    Raises:
        ResultError: If the results are not from the config's test set.
    """
    dataset = test_set_of(cfg, results)

    def frames(i):
        sample = dataset[i]
        label, of_result = (
            int(x['gt_label']) for x in (sample['data_samples'].to_dict(), results[i])
        )
        if label == -1:
            raise VideoError('the file cannot be read')
        if label != of_result:
            raise ResultError(
                f"sample {i} has label {label} in the config's test set, "
                f'{of_result} in the results'
            )
        return first_view(sample)

    return frames, dataset.metainfo.get('classes')


def draw_mistakes(
    results: list[dict],
    clips: Clips,
    names: Sequence[str],
    out: str | PathLike,
    samples: int = 8,
) -> None:
    """Draw frames of the wrong predictions with the highest scores.

    Args:
        results (list[dict]): From ``evaluation.results.load_results``.
        clips (Callable): From :func:`clips_of_files` or :func:`clips_of_dataset`.
        names (Sequence[str]): Of the classes.
        out (str | PathLike): The picture; its extension selects the format.
        samples (int): Most clips to draw. Defaults to 8.
    """
    wrong = certain_mistakes(results)
    shown = [(i, _clip(clips, i)) for i in wrong[:samples]]
    heights = [
        CAPTION + (TALL if isinstance(clip, np.ndarray) else CAPTION)
        for _, clip in shown
    ]
    height = TITLE + sum(heights) + 0.1
    figure = Figure(figsize=(WIDTH, height))
    top = height - TITLE
    for (i, clip), tall in zip(shown, heights):
        text = _caption(results[i], names)
        figure.text(0.01, (top - 0.2) / height, text, fontsize=9, color='darkred')
        top -= tall
        if isinstance(clip, str):
            text = f'not shown: {clip}'
            figure.text(0.01, (top + 0.12) / height, text, fontsize=9, color='0.4')
            continue
        places = np.linspace(0, len(clip) - 1, FRAMES).round().astype(int)
        for k, place in enumerate(places):
            box = 0.01 + 0.98 * k / FRAMES, top / height, 0.96 / FRAMES, TALL / height
            axes = figure.add_axes(box, anchor='NW')
            axes.imshow(clip[place], interpolation='bicubic')
            axes.axis('off')
    title = f'The most certain mistakes: {len(shown)} of {len(wrong)}'
    figure.suptitle(
        title if wrong else 'No mistakes', y=1 - 0.1 / height, va='top', fontsize=11
    )
    save(figure, out)


def _clip(clips, i):
    """Frames of a sample, or why there are none."""
    try:
        return clips(i)
    except (OSError, VideoError) as error:
        return str(error)


def _caption(result, names):
    label, predicted = int(result['gt_label']), int(result['pred_label'])
    score, of_label = (float(result['pred_score'][i]) for i in (predicted, label))
    file = quote(osp.basename(file_of(result) or ''))
    return (
        f'{names[predicted]} ({score:.2f}), should be {names[label]} '
        f'({of_label:.2f})    {file}'
    )
