"""Makes smaller files of an exported model, and compares files on a list."""

from __future__ import annotations

import os
import os.path as osp
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from ..datasets.lists import read_list
from ..deploy.metadata import Metadata
from ..deploy.precision import write_smaller
from ..deploy.session import OnnxModel
from ..errors import UsageError
from .inferencer import bar, reading_steps, reason_of
from .inputs import LISTS, Input, drawn_clip, find_inputs


def quantize(
    path: str | os.PathLike,
    out: str | os.PathLike,
    precision: str,
    video: str | os.PathLike | None = None,
) -> Metadata:
    """Write a float32 ONNX file again, with smaller weights.

    Args:
        path (str | PathLike): A file that ``tools/deployment/export_onnx.py`` wrote.
        out (str | PathLike): The new file.
        precision (str): 'int8', 'float16' or 'bfloat16'.
        video (str | PathLike, optional): Whose frames prove the file. Defaults to None:
            a clip that is drawn.

    Returns:
        Metadata: What the new file says of itself.

    Raises:
        UsageError: If the file, or the video, cannot be used.
        RunStopped: If the new file does not compute what the old one does.
    """
    source = drawn_clip() if video is None else Input(os.fspath(video))
    frames = Frames(OnnxModel(path))(source)
    return write_smaller(path, out, precision, frames)


class Frames:
    """The frames of a video that a file takes.

    Args:
        model (OnnxModel): The file, whose metadata has a test pipeline.

    Raises:
        UsageError: If the pipeline is missing, or cannot be built.
    """

    def __init__(self, model: OnnxModel) -> None:
        if model.metadata.pipeline is None:
            raise UsageError(
                f'{model.path} has no test pipeline in its metadata, so it is not '
                'known which frames it takes: export it again'
            )
        init_default_scope('mmaction')
        try:
            self._pipeline = Compose(reading_steps(model.metadata.pipeline))
        except Exception as error:  # transforms raise whatever they like
            raise UsageError(
                f'the pipeline of {model.path} cannot be built: {reason_of(error)}'
            ) from error

    def __call__(self, source: Input) -> np.ndarray:
        """Read a video.

        Returns:
            np.ndarray: (1, views, T, H, W, 3), uint8.

        Raises:
            UsageError: If it is broken.
        """
        try:
            data: Any = self._pipeline(source.sample())
        except Exception as error:  # decoders raise whatever they like
            raise UsageError(
                f'{source.name} cannot be read: {reason_of(error)}'
            ) from error
        return data['inputs'].movedim(1, -1)[None].numpy()


class Checked(NamedTuple):
    """How a file does on a list.

    Attributes:
        precision (str): Of its weights.
        megabytes (float): Its size, in 10^6 bytes.
        top1 (float): Share of videos whose best class is right.
        top5 (float): Share of videos whose five best classes have the right one.
        milliseconds (float): Per video, without decoding.
    """

    precision: str
    megabytes: float
    top1: float
    top5: float
    milliseconds: float


class Samples(NamedTuple):
    """Videos of a list, and their labels.

    Attributes:
        inputs (Sequence[Input]): The videos.
        labels (np.ndarray): Their first labels.
    """

    inputs: Sequence[Input]
    labels: np.ndarray


def labelled(path: str | os.PathLike, root: str, model: OnnxModel) -> Samples:
    """Read a list in a format of :mod:`mmaction_videomambapro.datasets.lists`.

    Args:
        path (str | PathLike): The list.
        root (str): Folder in front of its paths.
        model (OnnxModel): Names the classes, and limits the labels.

    Raises:
        UsageError: If a label is missing, or is not a class of the model.
    """
    if model.num_classes is None:
        raise UsageError(
            f'{model.path} gives features, which no list says the right ones of: check '
            'a file of scores'
        )
    if osp.splitext(path)[1].lower() not in LISTS:
        raise UsageError(
            f'{os.fspath(path)} is not a list of videos: name one that ends in '
            f'{", ".join(LISTS)}'
        )
    classes = model.metadata.classes
    rows = read_list(path, classes=classes)
    for row in rows:
        if not row.labels or row.labels[0] >= model.num_classes:
            label = f'label {row.labels[0]}' if row.labels else 'no label'
            raise UsageError(
                f'{path}, line {row.line} has {label}, but {model.path} has classes 0 '
                f'to {model.num_classes - 1}'
            )
    labels = np.array([row.labels[0] for row in rows])
    return Samples(find_inputs(path, root, classes), labels)


def check(samples: Samples, paths: Sequence[str | os.PathLike]) -> list[Checked]:
    """Accuracy and speed of some files of one model.

    All see the same frames, one video at a time.

    Args:
        samples (Samples): From :func:`labelled`.
        paths (Sequence[str | PathLike]): The files.

    Raises:
        UsageError: If a video is broken, or a file cannot be used.
    """
    models = [OnnxModel(path, torch.get_num_threads()) for path in paths]
    read = Frames(models[0])
    found: list[list[np.ndarray]] = [[] for _ in models]
    seconds = np.zeros(len(models))
    for source in bar(samples.inputs, len(samples.inputs), shown=True):
        frames = read(source)
        for i, model in enumerate(models):
            start = time.perf_counter()
            found[i].append(model.run(frames))
            seconds[i] += time.perf_counter() - start
    results = []
    for model, scores, total in zip(models, found, seconds):
        best = np.argsort(-np.concatenate(scores), 1, kind='stable')[:, :5]
        right = best == samples.labels[:, None]
        results.append(
            Checked(
                model.metadata.precision or '',
                os.path.getsize(model.path) / 1e6,
                float(right[:, 0].mean()),
                float(right.any(1).mean()),
                1e3 * total / len(samples.inputs),
            )
        )
    return results
