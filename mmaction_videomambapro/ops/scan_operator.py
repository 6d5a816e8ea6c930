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
        # Both directions' arguments stand side by side: lists of tensors would cost
        # PyTorch as much time as a short scan takes.
        def scan(
            z: Tensor | None,
            u: Tensor,
            delta: Tensor,
            A: Tensor,
            B: Tensor,
            C: Tensor,
            D: Tensor | None,
            delta_bias: Tensor | None,
            u_2: Tensor | None,
            delta_2: Tensor | None,
            A_2: Tensor | None,
            B_2: Tensor | None,
            C_2: Tensor | None,
            D_2: Tensor | None,
            delta_bias_2: Tensor | None,
            delta_softplus: bool,
            residual: bool,
            masked: list[int],
            reverse: list[int],
            keep: bool,
        ) -> tuple[Tensor, Tensor, Tensor]:
            first = ScanInputs(u, delta, A, B, C, D, delta_bias)
            second = ScanInputs(u_2, delta_2, A_2, B_2, C_2, D_2, delta_bias_2)
            directions = [first] if u_2 is None else [first, second]
            flags = ScanFlags(delta_softplus, residual, masked, reverse)
            return forward(directions, z, flags, keep)

        def scan_backward(
            dy: Tensor,
            z: Tensor | None,
            u: Tensor,
            delta: Tensor,
            A: Tensor,
            B: Tensor,
            C: Tensor,
            D: Tensor | None,
            delta_bias: Tensor | None,
            u_2: Tensor | None,
            delta_2: Tensor | None,
            A_2: Tensor | None,
            B_2: Tensor | None,
            C_2: Tensor | None,
            D_2: Tensor | None,
            delta_bias_2: Tensor | None,
            ungated: Tensor,
            states: Tensor,
            delta_softplus: bool,
            residual: bool,
            masked: list[int],
            reverse: list[int],
        ) -> list[Tensor]:
            first = ScanInputs(u, delta, A, B, C, D, delta_bias)
            second = ScanInputs(u_2, delta_2, A_2, B_2, C_2, D_2, delta_bias_2)
            directions = [first] if u_2 is None else [first, second]
            flags = ScanFlags(delta_softplus, residual, masked, reverse)
            return backward(dy, directions, z, ungated, states, flags)

        def fake(*args):
            z, *tensors = args[:15]
            keep, inputs = args[-1], ScanInputs(*tensors[:7])
            y = _token_major(inputs.u)
            ungated = _token_major(y) if keep and z is not None else y.new_empty(0)
            directions = 1 if tensors[7] is None else 2
            size = count_states(inputs) * directions if keep else 0
            return y, ungated, _state(y, size)

        def fake_backward(dy, z, *args):
            gradients = [] if z is None else [_token_major(z)]
            for u, delta, A, B, C, *weights in (args[:7], args[7:14]):
                if u is not None:
                    gradients += [_token_major(u), _token_major(delta)]
                    gradients += [A.new_empty(A.shape), *map(_token_major, (B, C))]
                    gradients += [
                        x.new_empty(x.shape) for x in weights if x is not None
                    ]
            return gradients

        self.scan = Operator(name, scan, *devices)
        self.backward = Operator(f'{name}_backward', scan_backward, *devices)
        self.scan.fake(fake)
        self.backward.fake(fake_backward)
        self.scan.gradient(self._gradient, _setup_context)
        self.backward.refuse_gradient()

    def run(
        self, u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False,
        *, residual=False, masked=False, reverse=False,
    ) -> Tensor:  # fmt: skip
        """Arguments, shapes and result are those of ``ops.selective_scan``."""
        tensors = z, u, delta, A, B, C, D, delta_bias, *(None,) * 7
        return self._run(tensors, delta_softplus, residual, [masked], [reverse])

    def run_both(self, forward, backward, z, delta_softplus, residual, masked):
        """Arguments, shapes and result are those of ``ops.bidirectional_scan``."""
        tensors = z, *forward, *backward
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
        if dy is None:
            return (None,) * (len(tensors) + 5)
        found = iter(self.backward(dy, *tensors, ungated, states, *ctx.flags))
        gradients = [None if x is None else next(found) for x in tensors]
        return *gradients, *(None,) * 5


def _setup_context(ctx, inputs, output):
    *tensors, softplus, residual, masked, reverse, _ = inputs
    _, ungated, states = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, ungated, states)
    ctx.flags = softplus, residual, masked, reverse


def _token_major(x):
    """Empty, with the channels of a token one behind the other."""
    return torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT


def _state(x, size):
    return x.new_empty(size, dtype=torch.promote_types(x.dtype, torch.float32))
