"""Functions as PyTorch operators that cost little to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

NAMESPACE = 'mmaction_videomambapro'
_PLAIN = {Tensor, Parameter, type(None), bool, list}


class Operator:
    """An operator made of a function.

    What ``torch.library.custom_op`` does, without its check whether results share
    memory with arguments. Plain tensors go to the function without PyTorch's
    dispatcher. On small inputs either took as long as the kernels.

    Args:
        name (str): Of the operator, within the package's namespace.
        schema (str): Arguments and results, in the language of ``torch.library``.
        function (Callable): Takes these arguments, by position.
        devices (str): Types of devices that it serves, ``'CPU'`` or ``'CUDA'``; none
            for an operator of the meta device, that is of its fake.
    """

    def __init__(
        self, name: str, schema: str, function: Callable, *devices: str
    ) -> None:
        self.name = f'{NAMESPACE}::{name}'
        torch.library.define(self.name, schema)
        torch.library.impl(self.name, devices, function)
        self.op = getattr(getattr(torch.ops, NAMESPACE), name).default
        self.function = self.with_gradient = function
        self.has_kernel = bool(devices)

    def fake(self, function: Callable) -> None:
        """Register a function that makes results without their values."""
        torch.library.register_fake(self.op, function)
        if not self.has_kernel:
            self.function = self.with_gradient = function

    def gradient(self, backward: Callable, setup_context: Callable) -> None:
        """Register the gradient, as for ``torch.library.register_autograd``."""
        torch.library.register_autograd(self.op, backward, setup_context=setup_context)

        def forward(ctx, *args):  # with a ctx it is called without inspecting it
            results = self.function(*args)
            setup_context(ctx, args, results)
            return tuple(results) if isinstance(results, list) else results

        members = dict(forward=staticmethod(forward), backward=staticmethod(backward))
        kind: Any = type(self.name.split('::')[1], (torch.autograd.Function,), members)
        self.with_gradient = kind.apply

    def refuse_gradient(self) -> None:
        """Make an error of a second derivative, which PyTorch would take for zero."""

        def backward(ctx, *_):
            raise RuntimeError(
                f'{self.name} has no gradient of its own: for second derivatives set '
                'MMACTION_VIDEOMAMBAPRO_SCAN=naive'
            )

        self.gradient(backward, lambda ctx, inputs, output: None)

    def __call__(self, *args):
        if _observed(args):
            return self.op(*args)
        if torch._C._are_functorch_transforms_active():
            raise NotImplementedError(
                f"torch.func's transforms do not reach into {self.name}: set "
                'MMACTION_VIDEOMAMBAPRO_SCAN=naive; instead of vmap, the mapped '
                'dimension can go into the batch'
            )
        if torch.is_grad_enabled():
            return self.with_gradient(*args)
        return self.function(*args)


def _observed(args):
    """Whether more than execution goes on: tracing, a profile, tensors of a kind."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch.autograd._profiler_enabled()
        or not _PLAIN.issuperset(map(type, args))
        # memory of a lazily negated tensor holds the negatives, as under the imaginary
        # part of a conjugate, that of a lazy zero nothing: the dispatcher resolves both
        or any(x.is_neg() or x._is_zerotensor() for x in args if isinstance(x, Tensor))
    )
