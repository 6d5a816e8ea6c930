"""The depth-wise causal convolution in front of every selective scan."""

from __future__ import annotations

from torch import Tensor

from .backends import choose_backend
from .checks import check_tensors


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    *,
    reverse: bool = False,
) -> Tensor:
    """Convolve each channel with its own kernel over the tokens scanned so far.

    The first three arguments are those of ``causal_conv1d.causal_conv1d_fn``. Its
    fourth is ``seq_idx``, which does not exist here, as states do not: give
    ``activation`` by name where either may be called. Any mixture of floating-point
    types does; sums are float32 (float64 for float64 tokens).

    Args:
        x (Tensor): Tokens, (B, D, L), any strides.
        weight (Tensor): One kernel per channel, (D, K); the last tap meets the
            current token.
        bias (Tensor, optional): (D,). Defaults to None.
        activation (str, optional): None, 'silu' or 'swish'. Defaults to None.
        reverse (bool): Scan from the last token to the first; the output stays in
            token order. Defaults to False.

    Returns:
        Tensor: (B, D, L), of x's type.

    Raises:
        TypeError: If a tensor does not hold floating-point numbers.
        ValueError: If ``activation`` is none of the three, the shapes do not fit
            together, or the tensors are on several devices.
    """
    if isinstance(activation, Tensor):
        raise TypeError(
            'the fourth argument is activation, but got a tensor: seq_idx and states '
            'of causal-conv1d do not exist here'
        )
    if activation not in (None, 'silu', 'swish'):
        raise ValueError(
            f"activation must be None, 'silu' or 'swish', but got {activation!r}"
        )
    check_tensors(('x', 'weight', 'bias'), (x, weight, bias), needed=2)
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(
            f'x must be (B, D, L), none of them 0, but is {tuple(x.shape)}'
        )
    if weight.ndim != 2 or weight.shape[0] != x.shape[1] or weight.shape[1] == 0:
        raise ValueError(
            f'weight must be (D, K) with D={x.shape[1]}, but is {tuple(weight.shape)}'
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f'bias must be ({len(weight)},), but is {tuple(bias.shape)}')
    return choose_backend(x).conv1d(x, weight, bias, activation, reverse)
