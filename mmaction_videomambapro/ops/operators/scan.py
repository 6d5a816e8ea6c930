"""A backend's scan as PyTorch operators, with fakes and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .operator import Operator


class ScanInputs(NamedTuple):
    """What one direction scans; see :func:`selective_scan`."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None = None
    delta_bias: Tensor | None = None


class ScanFlags(NamedTuple):
    """How to scan; the last two have an entry for each direction."""

    delta_softplus: bool
    residual: bool
    masked: Sequence[bool]
    reverse: Sequence[bool]


def _declare(suffix, optional):
    """One direction's tensors in a schema; optional ones may be None."""
    types = ('Tensor?' if name in optional else 'Tensor' for name in ScanInputs._fields)
    return ', '.join(f'{t} {n}{suffix}' for t, n in zip(types, ScanInputs._fields))


# Both directions' tensors side by side, the second's None if there is one direction:
# lists of tensors would cost PyTorch as much time as a short scan takes.
_FIRST = _declare('', optional=ScanInputs._field_defaults)
_SECOND = _declare('_2', optional=ScanInputs._fields)
_TENSORS = f'{_FIRST}, {_SECOND}'
_FLAGS = 'bool delta_softplus, bool residual, SymInt[] masked, SymInt[] reverse'
_SCHEMA = f'(Tensor? z, {_TENSORS}, {_FLAGS}, bool keep) -> (Tensor, Tensor, Tensor)'
_BACKWARD_SCHEMA = (
    f'(Tensor dy, Tensor? z, {_TENSORS}, Tensor ungated, Tensor states, {_FLAGS}) '
    '-> Tensor[]'
)
_NO_FLAGS = (None,) * (len(ScanFlags._fields) + 1)  # and keep


def join(z: Tensor | None, directions: Sequence[ScanInputs]) -> tuple:
    """The tensors of one direction or two as the operators take them."""
    tensors = [x for inputs in directions for x in inputs]
    return z, *tensors, *[None] * (2 * len(ScanInputs._fields) - len(tensors))


def _split(tensors):
    """The directions that there are."""
    count = len(ScanInputs._fields)
    first, second = ScanInputs(*tensors[:count]), ScanInputs(*tensors[count:])
    return [first] if second.u is None else [first, second]


class ScanOperator:
    """A scan of one direction, or of two that share the gate and the output.

    Args:
        name (str): Name of the operator.
        devices (tuple[str]): As for :class:`Operator`.
        forward (Callable): Given a list of ScanInputs, z, ScanFlags and whether to
            keep anything for the gradients, returns y (B, D, L) and, empty if not
            kept, y before the gate and the states that backward starts from, flat.
        backward (Callable): Given the gradient of y, ScanInputs, z, the two that were
            kept and ScanFlags, returns the gradients of z, and of each direction's
            inputs, without those that were not given. All are of their input's type;
            what has tokens lies in memory token by token.
        count_states (Callable): Given ScanInputs of one direction, the number of
            elements of its states.
    """

    def __init__(
        self,
        name: str,
        devices: tuple[str, ...],
        forward: Callable,
        backward: Callable,
        count_states: Callable,
    ) -> None:
        def scan(z, *args):
            *tensors, softplus, residual, masked, reverse, keep = args
            flags = ScanFlags(softplus, residual, masked, reverse)
            return forward(_split(tensors), z, flags, keep)

        def scan_backward(dy, z, *args):
            *tensors, ungated, states, softplus, residual, masked, reverse = args
            flags = ScanFlags(softplus, residual, masked, reverse)
            return backward(dy, _split(tensors), z, ungated, states, flags)

        def fake(z, *args):
            *tensors, _, _, _, _, keep = args
            directions = _split(tensors)
            y = _token_major(directions[0].u)
            ungated = _token_major(y) if keep and z is not None else y.new_empty(0)
            size = count_states(directions[0]) * len(directions) if keep else 0
            return y, ungated, _state(y, size)

        def fake_backward(dy, z, *args):
            *tensors, _, _, _, _, _, _ = args
            gradients = [] if z is None else [_token_major(z)]
            for u, delta, A, B, C, *weights in _split(tensors):
                gradients += [_token_major(u), _token_major(delta)]
                gradients += [A.new_empty(A.shape), *map(_token_major, (B, C))]
                gradients += [x.new_empty(x.shape) for x in weights if x is not None]
            return gradients

        self.scan = Operator(name, _SCHEMA, scan, *devices)
        self.backward = Operator(
            f'{name}_backward', _BACKWARD_SCHEMA, scan_backward, *devices
        )
        self.scan.fake(fake)
        self.backward.fake(fake_backward)
        self.scan.gradient(self._gradient, _setup_context)
        self.backward.refuse_gradient()

    def run(
        self, u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False,
        *, residual=False, masked=False, reverse=False,
    ) -> Tensor:  # fmt: skip
        """Arguments, shapes and result are those of ``ops.selective_scan``."""
        inputs = ScanInputs(u, delta, A, B, C, D, delta_bias)
        tensors = join(z, [inputs])
        return self._run(tensors, delta_softplus, residual, [masked], [reverse])

    def run_both(self, forward, backward, z, delta_softplus, residual, masked):
        """Arguments, shapes and result are those of ``ops.bidirectional_scan``."""
        tensors = join(z, [forward, backward])
        masked = [False, masked]
        return self._run(tensors, delta_softplus, residual, masked, [False, True])

    def _run(self, tensors, *flags):
        # torch.jit.trace checks its graph without gradients, and wants the same one
        keep = (torch.is_grad_enabled() or torch.jit.is_tracing()) and any(
            x.requires_grad for x in tensors if x is not None
        )
        return self.scan(*tensors, *flags, keep)[0]

    def _gradient(self, ctx, dy, *_):
        *tensors, ungated, states = ctx.saved_tensors
        gradients = [None] * len(tensors)
        if dy is not None:
            found = iter(self.backward(dy, *tensors, ungated, states, *ctx.flags))
            gradients = [None if x is None else next(found) for x in tensors]
        return *gradients, *_NO_FLAGS


def _setup_context(ctx, inputs, output):
    *tensors, softplus, residual, masked, reverse, _ = inputs
    _, ungated, states = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, ungated, states)
    ctx.flags = ScanFlags(softplus, residual, masked, reverse)


def _token_major(x):
    """Empty, with the channels of a token side by side."""
    return torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT


def _state(x, size):
    return x.new_empty(size, dtype=torch.promote_types(x.dtype, torch.float32))
