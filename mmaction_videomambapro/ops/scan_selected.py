"""A scan whose inputs are computed again in the backward pass instead of being kept.

What is scanned and the step sizes are most of what autograd keeps of a mixer. Both can
be computed again in little time if one product is kept, which is small. mamba-ssm's
fused function does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional as F

from .backends import choose_backend
from .operators.scan import ScanFlags, ScanInputs, ScanOperator, join
from .selective_scan import check_scan


def operator_for(x: Tensor, states: int) -> ScanOperator | None:
    """What :func:`scan_selected` runs on, or None where it has nothing to offer.

    That is where no gradients are taken, where a graph is captured, whose compiler
    decides what to keep, and for a backend whose own gradient cannot be called.
    """
    if (
        not torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
    ):
        return None
    return choose_backend(x, states).operator


def scan_selected(
    operator: ScanOperator,
    flags: ScanFlags,
    select: Callable[..., Sequence[ScanInputs]],
    z: Tensor,
    *tensors: Tensor | None,
) -> Tensor:
    """Scan what is selected, in one direction or both, and gate it.

    Args:
        operator (ScanOperator): From :func:`operator_for`.
        flags (ScanFlags): How to scan.
        select (Callable): Given ``F.linear``, or what stands in for it, for products
            that are to be kept, and ``tensors``, and nothing else that has gradients,
            returns the inputs of each direction.
        z (Tensor): The gate, (B, D, L).
        *tensors (Tensor, optional): Tokens and weights.

    Returns:
        Tensor: (B, D, L), of the type of what is scanned.

    Raises:
        TypeError: As :func:`selective_scan`.
        ValueError: Likewise.
    """
    return _ScanSelected.apply(operator, flags, select, z, *tensors)


class _ScanSelected(torch.autograd.Function):
    @staticmethod
    def forward(ctx, operator, flags, select, z, *tensors):
        products = []

        def product(x, weight):
            products.append(F.linear(x, weight))
            return products[-1]

        inputs = select(product, *tensors)
        for u, delta, A, B, C, D, delta_bias in inputs:
            check_scan(u, delta, A, B, C, D, z, delta_bias)
        keep = any(ctx.needs_input_grad)
        y, *kept = operator.scan(*join(z, inputs), *flags, keep)
        ctx.save_for_backward(z, *kept, *tensors, *products)
        ctx.fixed = operator, flags, select, len(tensors)
        kind = z.device.type
        ctx.autocast = dict(
            device_type=kind,
            dtype=torch.get_autocast_dtype(kind),
            enabled=torch.is_autocast_enabled(kind),
        )
        return y

    @staticmethod
    def backward(ctx, dy):
        operator, flags, select, count = ctx.fixed
        z, ungated, states, *tensors = ctx.saved_tensors
        tensors, products = tensors[:count], iter(tensors[count:])
        leaves = [
            None if x is None else x.detach().requires_grad_(needed)
            for x, needed in zip(tensors, ctx.needs_input_grad[4:])
        ]

        def product(x, weight):
            return _Known.apply(next(products), x, weight)

        with torch.enable_grad(), torch.autocast(**ctx.autocast, cache_enabled=False):
            inputs = select(product, *leaves)
        with torch.autocast(dy.device.type, enabled=False):
            dz, *gradients = operator.backward(
                dy, *join(z, inputs), ungated, states, *flags
            )
            gradients = _pass_on(inputs, gradients, leaves)
        return None, None, None, dz, *gradients


class _Known(torch.autograd.Function):
    """A product whose result is known, to take its gradients."""

    @staticmethod
    def forward(ctx, result, x, weight):
        ctx.save_for_backward(x, weight)
        return result.view_as(result)

    @staticmethod
    def backward(ctx, dy):
        x, weight = (tensor.to(dy.dtype) for tensor in ctx.saved_tensors)
        dweight = dy.flatten(0, -2).mT @ x.flatten(0, -2)
        return None, dy @ weight, dweight


def _pass_on(inputs, gradients, leaves):
    """From gradients of the scan's inputs to those of what they were selected from."""
    given = [x for x in chain(*inputs) if x is not None]
    pairs = [(x, dx) for x, dx in zip(given, gradients) if x.requires_grad]
    needed = [x for x in leaves if x is not None and x.requires_grad]
    if not needed:
        return [None] * len(leaves)
    outputs, gradients = zip(*pairs)
    create_graph = torch.is_grad_enabled()  # whose second derivative the scan refuses
    found = iter(
        torch.autograd.grad(outputs, needed, gradients, create_graph=create_graph)
    )
    return [next(found) if x is not None and x.requires_grad else None for x in leaves]
