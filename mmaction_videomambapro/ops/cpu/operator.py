"""Registers functions as PyTorch operators."""

from __future__ import annotations

from collections.abc import Callable

import torch

NAMESPACE = 'mmaction_videomambapro'


def operator(function: Callable) -> Callable:
    """Make an operator for CPUs of an annotated function.

    What ``torch.library.custom_op`` does, without its check whether results share
    memory with arguments: on small inputs that took as long as the kernels.
    """
    name = f'{NAMESPACE}::{function.__name__}'
    torch.library.define(name, torch.library.infer_schema(function, mutates_args=()))
    torch.library.impl(name, 'CPU', function)
    return getattr(getattr(torch.ops, NAMESPACE), function.__name__).default


def refuse_gradient(op: Callable) -> None:
    """Make an error of a second derivative, which PyTorch would take for zero."""

    def backward(ctx, *_):
        raise RuntimeError(
            f'{op.name()} has no gradient of its own: for second derivatives set '
            'MMACTION_VIDEOMAMBAPRO_SCAN=naive'
        )

    torch.library.register_autograd(op, backward)
