"""The depth-wise causal convolution in front of every selective scan."""

from __future__ import annotations

from torch import Tensor

from .backends import choose_backend


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    *,
    reverse: bool = False,
) -> Tensor:
    """Convolve each channel with its own kernel over the tokens scanned so far.

    The first four arguments are those of ``causal_conv1d.causal_conv1d_fn``.

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
        ValueError: If ``activation`` is none of the three, or the shapes do not fit
            together.
    """
    if activation not in (None, 'silu', 'swish'):
        raise ValueError(
            f"activation must be None, 'silu' or 'swish', but got {activation!r}"
        )
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
