"""Exports a model with all that its file has to say, as the tool does."""

from __future__ import annotations

import os
import os.path as osp
from pathlib import Path
from typing import Any

from ..deploy.export import export_onnx
from ..deploy.metadata import Metadata
from ..deploy.sampling import sampling_of
from ..errors import UsageError
from ..files import sha256
from .inferencer import VideoInferencer, reason_of
from .inputs import Input, drawn_clip, find_inputs


def export(
    inferencer: VideoInferencer,
    out: str | os.PathLike,
    lowering: str | None = None,
    features: bool = False,
    portable: bool = False,
    video: str | os.PathLike | None = None,
) -> Metadata:
    """Write a model into an ONNX file, which needs no config and no class names.

    Args:
        inferencer (VideoInferencer): The model, on the CPU.
        out (str | PathLike): The file.
        lowering (str, optional): See :func:`export_onnx`. Defaults to None.
        features (bool): See :func:`export_onnx`. Defaults to False.
        portable (bool): See :func:`export_onnx`. Defaults to False.
        video (str | PathLike, optional): Whose frames prove the file. Defaults to None:
            the first of the test data, or a clip that is drawn.

    Returns:
        Metadata: What the file says of itself.

    Raises:
        UsageError: If the model cannot be exported, or the video is broken.
        RunStopped: If the file does not compute what the model does.
    """
    cfg, pipeline = inferencer.model.cfg, _plain(inferencer.steps)
    source = Input(os.fspath(video)) if video else _a_video(inferencer)
    try:
        data = inferencer.pipeline(source)
    except Exception as error:  # decoders raise whatever they like
        reason = reason_of(error)
        raise UsageError(f'{source.name} cannot be read: {reason}') from error
    metadata = Metadata(
        config=Path(cfg.filename).stem if cfg.filename else None,
        classes=inferencer.classes,
        pipeline=pipeline,
        sampling=sampling_of(pipeline),
        batch_size=inferencer.batch_size,
        weights_sha256=sha256(inferencer.weights)
        if osp.isfile(inferencer.weights)
        else None,
    )
    return export_onnx(
        inferencer.model,
        out,
        data['inputs'],
        metadata,
        lowering,
        features,
        portable,
    )


def _plain(node: Any) -> Any:
    """A part of a config without MMEngine's classes."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(value) for value in node]
    return node.__name__ if isinstance(node, type) else node


def _a_video(inferencer: VideoInferencer) -> Input:
    """The first of the test data, if it is there, or a clip that is drawn."""
    dataset = (inferencer.model.cfg.get('test_dataloader') or {}).get('dataset') or {}
    names, prefix = dataset.get('ann_file'), dataset.get('data_prefix') or {}
    if isinstance(names, str) and osp.isfile(names):
        root = prefix.get('video') or prefix.get('img') or ''
        first = find_inputs(names, root, inferencer.classes)[0]
        if osp.exists(first.name):
            return first
    return drawn_clip()
