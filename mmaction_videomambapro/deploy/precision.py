"""Smaller files: the weights of an exported model as int8, float16 or bfloat16.

They are a way to store weights. ONNX Runtime turns them into float32 when it opens the
file, so what is computed, the states of the scans included, stays float32 on every CPU.
Activations are not quantised: a few channels of a scan are far larger than the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ..errors import RunStopped, UsageError
from ..files import refuse_same, replacing
from .export import relative_error
from .metadata import Metadata
from .session import OnnxModel

# How far scores may be from those of the float32 file, relative to their norm
TOLERANCES = dict(int8=0.05, float16=0.005, bfloat16=0.02)
_TYPES = dict(
    int8=TensorProto.INT8, float16=TensorProto.FLOAT16, bfloat16=TensorProto.BFLOAT16
)
_SMALLEST = 512  # numbers of a tensor; the nodes that restore it take space, too
_FEWEST = 8  # terms of a sum; rounding to int8 does not average out in fewer


def write_smaller(
    path: str | os.PathLike, out: str | os.PathLike, precision: str, real: np.ndarray
) -> Metadata:
    """Write a float32 file again, with smaller weights.

    The new file is run on random and on real frames, and compared with the old one. It
    is only left behind if both agree.

    Args:
        path (str | PathLike): A file that ``tools/deployment/export_onnx.py`` wrote.
        out (str | PathLike): The new file.
        precision (str): One of the :data:`TOLERANCES`.
        real (np.ndarray): Frames of videos, (batch, views, T, H, W, 3), uint8.

    Returns:
        Metadata: What the new file says of itself; errors are relative to the norm of
        what the float32 file gives.

    Raises:
        UsageError: If the file cannot be used, or its weights are not float32.
        RunStopped: If the new file does not compute what the old one does.
    """
    old = OnnxModel(path)
    metadata = old.metadata
    if metadata.precision != 'float32':
        raise UsageError(
            f'{path} is of precision {metadata.precision}: take the float32 file that '
            'tools/deployment/export_onnx.py wrote'
        )
    refuse_same(path, out)
    model = onnx.load_model(os.fspath(path), load_external_data=False)
    try:
        store(model.graph, precision)
    except (TypeError, ValueError) as error:
        raise UsageError(f'{path} is damaged: {error}') from error
    rng = np.random.default_rng(0)
    random = rng.integers(256, size=(2, 2, *old.shape), dtype=np.uint8)
    with replacing(out, 'wb') as file:
        _write(file, model, replace(metadata, precision=precision, error=None))
        new, errors = OnnxModel(file.name), {}
        for kind, frames in dict(random=random, real=real).items():
            errors[kind] = relative_error(new.run(frames), old.run(frames))
            if not errors[kind] <= TOLERANCES[precision]:  # NaN is not, either
                raise RunStopped(
                    f'{precision} is not precise enough for {path}: on {kind} frames '
                    f'{old.output} differ by {errors[kind]:.1e} of their norm, more '
                    f'than {TOLERANCES[precision]:g}; nothing is written'
                )
        metadata = replace(metadata, precision=precision, error=errors)
        _write(file, model, metadata)
    return metadata


def _write(file, model, metadata):
    helper.set_model_props(model, metadata.to_props())
    file.seek(0)
    file.truncate()
    file.write(model.SerializeToString())
    file.flush()


def store(graph: onnx.GraphProto, precision: str) -> None:
    """Store the weights of a graph in less space, in place.

    Weights of products become numbers of this precision; int8 has a scale per output
    channel. Other large tensors, such as embeddings of positions and the decay of
    scans, become float16, and so do int8's convolutions over time, of 4 tokens. Small
    tensors stay as they are.

    Args:
        graph (GraphProto): Its large tensors are float32.
        precision (str): One of the :data:`TOLERANCES`.
    """
    inputs = dict(_products(graph))
    nodes: list[NodeProto] = []
    for tensor in list(graph.initializer):
        is_large = np.prod(tensor.dims) >= _SMALLEST
        if tensor.data_type != TensorProto.FLOAT or not is_large:
            continue
        graph.initializer.remove(tensor)
        values, name = numpy_helper.to_array(tensor), tensor.name
        kind = precision if name in inputs else 'float16'
        if kind == 'int8' and _terms(values, inputs[name]) < _FEWEST:
            kind = 'float16'
        stored, restored = f'{name}.{kind}', name
        if kind == 'int8':
            values, scale = quantise(values, inputs[name])
            factor, restored = f'{name}.scale', f'{name}.rounded'
            graph.initializer.append(numpy_helper.from_array(scale, factor))
            nodes.append(helper.make_node('Mul', [restored, factor], [name]))
        with np.errstate(over='ignore'):  # comparing scores finds it
            values = values.astype(helper.tensor_dtype_to_np_dtype(_TYPES[kind]))
        graph.initializer.append(numpy_helper.from_array(values, stored))
        cast = helper.make_node('Cast', [stored], [restored], to=TensorProto.FLOAT)
        nodes.insert(0, cast)
    nodes += graph.node
    graph.ClearField('node')
    graph.node.extend(nodes)


def _terms(values, axes):
    return np.prod([values.shape[axis] for axis in axes])


def _products(graph) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names of weights, and which of their axes products sum over."""
    ranks = {x.name: len(x.dims) for x in graph.initializer}
    for node in graph.node:
        if node.domain or node.op_type not in ('MatMul', 'Gemm', 'Conv'):
            continue
        name = node.input[1]
        if ranks.get(name, 0) < 2:
            continue
        if node.op_type == 'Conv':
            yield name, tuple(range(1, ranks[name]))
        elif any(x.name == 'transB' and x.i for x in node.attribute):
            yield name, (-1,)
        else:
            yield name, (-2,)


def quantise(values: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Integers and a scale, whose product is near to some values.

    Args:
        values (np.ndarray): float32.
        axes (tuple[int, ...]): Axes with a common scale.

    Returns:
        tuple[np.ndarray, np.ndarray]: int8, and float32 with axes of length 1.
    """
    scale = np.abs(values).max(axes, keepdims=True) / np.float32(127)
    scale[~(scale > 0)] = 1  # nothing but zeros
    with np.errstate(invalid='ignore'):
        return np.rint(values / scale).astype(np.int8), scale
