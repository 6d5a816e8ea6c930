"""Writes a recognizer into an ONNX file, if the file computes what PyTorch does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import onnxscript
import torch
from mmaction.structures import ActionDataSample
from rich.console import Console
from torch import Tensor

from ..errors import RunStopped, UsageError
from ..files import replacing
from .frames import FramesModel
from .graph import graph_of, lower, scans_in, shape_of
from .lowerings import LOWERINGS
from .metadata import Metadata
from .session import INPUT, LARGEST_FILE, PLAIN, OnnxModel

TOLERANCE = 1e-4  # of the norm of what PyTorch computes in float32
_RUNS = 3


def export_onnx(
    recognizer: Any,
    out: str | os.PathLike,
    real: Tensor,
    metadata: Metadata,
    lowering: str | None = None,
    features: bool = False,
    portable: bool = False,
) -> Metadata:
    """Write a recognizer into an ONNX file.

    The file is run on random and on real frames, and compared with the recognizer. It
    is only left behind if both agree.

    Args:
        recognizer (nn.Module): MMAction2's, on the CPU.
        out (str | PathLike): The file.
        real (Tensor): Frames of a video, as the test pipeline gives them: (views, 3, T,
            H, W), uint8.
        metadata (Metadata): What the file is to say of itself, except for what is found
            out here.
        lowering (str, optional): How to write the scan, one of the :data:`LOWERINGS`.
            Defaults to None: the fastest of those that this ONNX Runtime takes.
        features (bool): Whether the file gives features instead of scores.
            Defaults to False.
        portable (bool): Whether to leave out what OpenVINO cannot read; see
            :func:`lower`. Defaults to False.

    Returns:
        Metadata: What the file says of itself.

    Raises:
        UsageError: If the recognizer cannot be exported.
        RunStopped: If the file does not compute what the recognizer does.
    """
    choice = PLAIN if portable else tuple(LOWERINGS)
    if lowering and lowering not in choice:
        raise UsageError(
            f'the lowering {lowering} is not portable: take {" or ".join(choice)}'
        )
    if sum(x.nbytes for x in recognizer.parameters()) >= LARGEST_FILE:
        raise UsageError('the model has more than 2 GB of weights, as no ONNX file can')
    model = FramesModel(recognizer.eval(), features)
    real = real.movedim(1, -1)[None]  # (1, views, T, H, W, 3)
    shape = 2, 2 * model.num_clips, *real.shape[2:]
    seed = torch.Generator().manual_seed(0)
    random = torch.randint(0, 256, shape, dtype=torch.uint8, generator=seed)
    console = Console(file=sys.stderr)  # even while the exporter has none
    with console.status('tracing the model') as status:
        output = 'features' if features else 'scores'
        graph = graph_of(model, random, (INPUT, output), model.num_clips)
        if scans_in(graph):
            status.update('lowering the scans')
            lowering = lowering or fastest_lowering(graph, real.shape[1], choice)
            lower(graph, lowering, portable)
        else:
            lowering = None
        metadata = replace(
            metadata,
            lowering=lowering,
            precision='float32',
            versions=_versions(),
        )
        status.update('comparing the file with PyTorch')
        with replacing(out, 'wb') as file:
            _write(file, graph, metadata)
            ours = OnnxModel(file.name, torch.get_num_threads())
            frames = dict(random=random, real=real)
            metadata = replace(metadata, error=_prove(ours, recognizer, frames))
            _write(file, graph, metadata)
    return metadata


def _prove(
    model: OnnxModel, recognizer: Any, frames: dict[str, Tensor]
) -> dict[str, float]:
    """How far a file is from its recognizer, by the kind of frames.

    Raises:
        RunStopped: If it is too far.
    """
    errors = {}
    for kind, x in frames.items():
        expected = reference(recognizer, x, model.output == 'features')
        errors[kind] = relative_error(model.run(x.numpy()), expected)
        if not errors[kind] <= TOLERANCE:  # NaN is not, either
            raise RunStopped(
                f'the file does not compute what PyTorch does: on {kind} frames '
                f'{model.output} differ by {errors[kind]:.1e} of their norm, more than '
                f'{TOLERANCE:.0e}; nothing is written'
            )
    return errors


def _versions() -> dict[str, str]:
    packages = torch, onnx, onnxscript, onnxruntime
    found = {package.__name__: package.__version__ for package in packages}
    return dict(mmaction_videomambapro=version('mmaction_videomambapro'), **found)


def _write(file, graph, metadata):
    graph.metadata_props.clear()
    graph.metadata_props.update(metadata.to_props())
    file.seek(0)
    file.truncate()
    file.write(ir.to_proto(graph).SerializeToString())
    file.flush()


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The norm of the difference, relative to that of what is expected."""
    difference = np.linalg.norm(found.astype(np.float64) - expected)
    if difference == 0:  # as may be what is expected
        return 0.0
    with np.errstate(divide='ignore'):
        return float(difference / np.linalg.norm(expected))


@torch.no_grad()
def reference(recognizer: Any, frames: Tensor, features: bool) -> np.ndarray:
    """What a recognizer computes when it is tested.

    Args:
        recognizer (nn.Module): MMAction2's.
        frames (Tensor): (batch, views, T, H, W, 3), uint8.
        features (bool): Return what the backbone gives instead of scores.
    """
    videos = [x.movedim(-1, 1) for x in frames]
    data = dict(inputs=videos, data_samples=[ActionDataSample() for _ in videos])
    if not features:
        samples = recognizer.test_step(data)
        return torch.stack([x.pred_score for x in samples]).double().numpy()
    inputs = recognizer.data_preprocessor(data)['inputs']
    x, _ = recognizer.extract_feat(inputs, 'backbone')
    return x.unflatten(0, frames.shape[:2]).double().numpy()


def fastest_lowering(model: ir.Model, batch: int, choice: Iterable[str]) -> str:
    """The lowering of the first scan that takes the least time here.

    Args:
        model (Model): Has scans that are nodes.
        batch (int): Views that are scanned at once.
        choice (Iterable[str]): Some of the :data:`LOWERINGS`.

    Returns:
        str: One of the :data:`LOWERINGS`, of those that this ONNX Runtime takes.
    """
    times = {}
    for lowering in choice:
        run = _alone(scans_in(model)[0], lowering, batch)
        if run is not None:
            times[lowering] = min(map(_seconds, [run] * _RUNS))
    return min(times, key=times.__getitem__)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _alone(node: ir.Node, lowering: str, batch: int) -> Callable[[], object] | None:
    """A scan as a model of its own, if ONNX Runtime takes it."""
    rng = np.random.default_rng(0)
    values, feed = [], {}
    for i, x in enumerate(node.inputs):
        shape = shape_of(x)
        if len(shape) == 3:
            shape[0] = batch
        feed[f'x{i}'] = rng.random(shape, dtype=np.float32) - 1  # A has to be negative
        values.append(
            ir.Value(
                name=f'x{i}',
                shape=ir.Shape(shape),
                type=ir.TensorType(ir.DataType.FLOAT),
            )
        )
    scan = ir.Node(
        node.domain, node.op_type, values, node.attributes.values(), version=1
    )
    (y,) = scan.outputs
    y.name, y.type = 'y', ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        values, [y], nodes=[scan], opset_imports={'': 18, node.domain: 1}, name='scan'
    )
    model = ir.Model(graph, ir_version=10)
    lower(model, lowering)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(
            ir.to_proto(model).SerializeToString(), options, ['CPUExecutionProvider']
        )
    except Exception:  # ONNX Runtime's have no base class of their own
        return None
    return lambda: session.run(None, feed)
