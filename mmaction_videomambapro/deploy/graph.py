"""A model as an ONNX graph, in which every scan is a node until it is lowered."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    InlinePass,
    ShapeInferencePass,
)
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError
from ..ops.backends import Backend, serving
from .lowerings import DOMAIN, Flags, scan_function

_NODE = 'SelectiveScan'
_OPSET = 18


def graph_of(
    model: nn.Module, example: Tensor, names: tuple[str, str], num_clips: int = 1
) -> ir.Model:
    """Trace a model.

    Args:
        model (nn.Module): Takes a tensor, returns a tensor.
        example (Tensor): An input. The first two dimensions are left open; both have to
            be 2 or more here.
        names (tuple[str, str]): Of the input and of the output.
        num_clips (int): What the second dimension is a multiple of. Defaults to 1.

    Raises:
        UsageError: If ONNX has no operator for something in the model.
    """
    views = torch.export.Dim('views' if num_clips == 1 else 'groups') * num_clips
    sizes = {0: torch.export.Dim('batch'), 1: views}
    try:
        with serving(_BACKEND), torch.inference_mode(), _quiet():
            program: Any = torch.onnx.export(
                model.eval(),
                (example,),
                dynamo=True,
                opset_version=_OPSET,
                dynamic_shapes=(sizes,),
                input_names=names[:1],
                output_names=names[1:],
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UsageError(f'the model cannot be exported: {_reason(error)}') from error
    ClearMetadataAndDocStringPass()(program.model)
    return program.model


def _reason(error: BaseException) -> str:
    """The first cause, in its first line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split('\n')[0] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks, and the pages that it prints before it fails."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def _scan_node(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
    residual=False, masked=False, reverse=False,
) -> Tensor:  # fmt: skip
    """Arguments, shapes and result are those of ``ops.selective_scan``."""
    if B.ndim != 3:
        raise UsageError('a scan with B and C for groups of channels has no ONNX form')
    if D is None:
        D = u.new_zeros(u.shape[1])
    delta = delta.mT if delta_bias is None else delta.mT + delta_bias
    flags = Flags(delta_softplus, residual, masked, reverse)
    y = torch.onnx.ops.symbolic(
        f'{DOMAIN}::{_NODE}',
        [u.mT, delta, A, B.mT, C.mT, D],  # channels last
        {name: int(value) for name, value in flags._asdict().items()},
        dtype=u.dtype,
        shape=u.mT.shape,
        version=1,
    ).mT
    return y if z is None else y * F.silu(z)


_BACKEND = Backend(_scan_node, 'a node of an ONNX graph')


def scans_in(model: ir.Model) -> list[ir.Node]:
    """The scans of a graph that are still nodes."""
    return [node for node in model.graph if node.domain == DOMAIN]


def shape_of(value: Any) -> list[Any]:
    """Sizes of a value, which are integers unless they are left open."""
    return list(value.shape)


def lower(model: ir.Model, lowering: str, portable: bool = False) -> None:
    """Define what the scans of a graph are, in place.

    Args:
        model (Model): From :func:`graph_of`.
        lowering (str): One of the :data:`LOWERINGS`.
        portable (bool): Leave no functions, and no loops that look at values outside,
            which OpenVINO cannot read. Defaults to False.
    """
    opsets = model.graph.opset_imports
    for node in scans_in(model):
        values = {name: bool(node.attributes[name].as_int()) for name in Flags._fields}
        name = '_'.join([_NODE, *(key for key, value in values.items() if value)])
        channels, states = shape_of(node.inputs[2])  # of A
        function = scan_function(
            name, lowering, Flags(**values), channels, states, portable
        )
        node.op_type = name
        node.attributes.clear()
        model.functions[function.identifier()] = function
        opsets.update(function.opset_imports)
    if portable:
        InlinePass()(model)
        ShapeInferencePass()(model)
        del opsets[DOMAIN]
    ClearMetadataAndDocStringPass()(model)  # names files and lines of the source
