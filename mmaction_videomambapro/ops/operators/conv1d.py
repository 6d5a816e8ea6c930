"""A backend's causal convolution as PyTorch operators, with fakes and gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .operator import Operator

_ARGUMENTS = 'Tensor x, Tensor weight, Tensor? bias, bool silu, bool reverse'


class Conv1dOperator:
    """The depth-wise causal convolution, with SiLU or without.

    Args:
        name (str): Name of the operator.
        devices (tuple[str]): As for :class:`Operator`.
        forward (Callable): Given x, weight, bias, whether SiLU follows and whether to
            scan in reverse, returns (B, D, L), in memory token by token.
        backward (Callable): Given the gradient of that, and then the same, returns
            the gradients of x, in memory token by token, weight and bias.
    """

    def __init__(
        self, name: str, devices: tuple[str, ...], forward: Callable, backward: Callable
    ) -> None:
        def fake(x, *_):
            return torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT

        def fake_backward(dy, x, weight, *_):
            dweight, dbias = weight.shape, weight.shape[:1]
            return fake(x), weight.new_empty(dweight), weight.new_empty(dbias)

        self.conv1d = Operator(name, f'({_ARGUMENTS}) -> Tensor', forward, *devices)
        schema = f'(Tensor dy, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor)'
        self.backward = Operator(f'{name}_backward', schema, backward, *devices)
        self.conv1d.fake(fake)
        self.backward.fake(fake_backward)
        self.conv1d.gradient(self._gradient, _setup_context)
        self.backward.refuse_gradient()

    def run(self, x, weight, bias, activation, reverse) -> Tensor:
        """Arguments, shapes and result are those of ``ops.causal_conv1d``."""
        return self.conv1d(x, weight, bias, activation is not None, reverse)

    def _gradient(self, ctx, dy):
        x, weight, bias = ctx.saved_tensors
        dx, dweight, dbias = self.backward(dy, x, weight, bias, *ctx.flags)
        return dx, dweight, None if bias is None else dbias, None, None


def _setup_context(ctx, inputs, output):
    *tensors, silu, reverse = inputs
    ctx.save_for_backward(*tensors)
    ctx.flags = silu, reverse
