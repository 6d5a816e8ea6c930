"""The public scans: check the tensors, then pick a backend."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from .backends import choose_backend
from .checks import check_tensors
from .operators.scan import ScanInputs

_NAMES = 'u', 'delta', 'A', 'B', 'C', 'D', 'z', 'delta_bias'
_FORWARD_NAMES, _BACKWARD_NAMES = (
    ('forward.u', *(f'{side}.{name}' for name in ScanInputs._fields), 'z')
    for side in ('forward', 'backward')
)


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    residual: bool = False,
    masked: bool = False,
    reverse: bool = False,
) -> Tensor:
    r"""Selective scan of Mamba, with VideoMambaPro's residual state and mask.

    For each channel with N states and tokens :math:`i` in scan order:

    .. math::
        h_{-1} &= u_0 \text{ in all N states if residual, else } 0 \\
        h_i &= \exp(\Delta_i A) h_{i-1} + \Delta_i B_i u_i \\
        r_i &= h_i, \text{ or } h_i - \Delta_i B_i u_i \text{ with } r_0 = 0
            \text{ if masked} \\
        y_i &= (\langle C_i, r_i \rangle + D u_i) \cdot \mathrm{silu}(z_i)

    where :math:`\Delta_i` is ``delta + delta_bias``, through softplus if asked.
    The plain scan is that of Mamba (arXiv 2312.00752); ``residual`` and ``masked``
    are those of VideoMambaPro (arXiv 2406.19006) as its released code defines them.

    Shapes and argument order are those of ``mamba_ssm``'s ``selective_scan_fn`` up to
    ``delta_softplus``; its ``return_last_state``, complex A, and B and C that are the
    same for all tokens do not exist here. Any strides and any mixture of floating-point
    types do; the state is float32 (float64 for float64 u).

    Args:
        u (Tensor): Input, (B, D, L).
        delta (Tensor): Step sizes before bias and softplus, (B, D, L).
        A (Tensor): State decay, real and negative, (D, N).
        B (Tensor): Input weights, (B, N, L) or (B, G, N, L) for G channel groups.
        C (Tensor): Read-out weights, shaped like ``B``.
        D (Tensor, optional): Skip weights, (D,). Defaults to None.
        z (Tensor, optional): Gate before its SiLU, (B, D, L). Defaults to None.
        delta_bias (Tensor, optional): (D,). Defaults to None.
        delta_softplus (bool): Pass delta through softplus. Defaults to False.
        residual (bool): Start from the first token in scan order instead of 0.
            Defaults to False.
        masked (bool): Leave each token's own contribution out of its read-out.
            Defaults to False.
        reverse (bool): Scan from the last token to the first; the output stays in
            token order. Defaults to False.

    Returns:
        Tensor: y, (B, D, L), of u's type.

    Raises:
        TypeError: If a tensor does not hold floating-point numbers.
        ValueError: If the shapes do not fit together, the tensors are on several
            devices, or a backend was forced with the environment variable
            ``MMACTION_VIDEOMAMBAPRO_SCAN`` that does not exist or cannot serve the
            call.
    """
    tensors = u, delta, A, B, C, D, z, delta_bias
    check_scan(*tensors)
    flags = dict(residual=residual, masked=masked, reverse=reverse)
    return choose_backend(u, A.shape[1]).run(*tensors, delta_softplus, **flags)


def bidirectional_scan(
    forward: ScanInputs,
    backward: ScanInputs,
    z: Tensor | None = None,
    delta_softplus: bool = False,
    *,
    residual: bool = False,
    masked: bool = False,
) -> Tensor:
    """The sum of a scan and a reversed scan, gated once: a mixer's both directions.

    Args:
        forward (ScanInputs): Scanned from the first token to the last.
        backward (ScanInputs): Scanned from the last token to the first.
        z (Tensor, optional): Gate of the sum, (B, D, L). Defaults to None.
        delta_softplus (bool): As in :func:`selective_scan`. Defaults to False.
        residual (bool): Start both scans from their first token.
            Defaults to False.
        masked (bool): Leave each token's own contribution out of the backward scan.
            Defaults to False.

    Returns:
        Tensor: (B, D, L), of u's type.

    Raises:
        TypeError: As :func:`selective_scan`.
        ValueError: Likewise, or if the directions differ in size.
    """
    for given, names in ((forward, _FORWARD_NAMES), (backward, _BACKWARD_NAMES)):
        check_tensors(names, (forward.u, *given, z), needed=6)
    for u, delta, A, B, C, D, delta_bias in (forward, backward):
        _check_shapes(u, delta, A, B, C, D, z, delta_bias)
    if forward.u.shape != backward.u.shape or forward.A.shape != backward.A.shape:
        raise ValueError(
            'both directions must be of one size, but u is '
            f'{_shape(forward.u)} and {_shape(backward.u)}, A is '
            f'{_shape(forward.A)} and {_shape(backward.A)}'
        )
    backend = choose_backend(forward.u, forward.A.shape[1])
    if backend.run_both is not None:
        return backend.run_both(forward, backward, z, delta_softplus, residual, masked)
    flags = dict(delta_softplus=delta_softplus, residual=residual)
    y = backend.run(**forward._asdict(), **flags)
    y = y + backend.run(**backward._asdict(), **flags, masked=masked, reverse=True)
    return y if z is None else (y * F.silu(z)).to(y.dtype)


def check_scan(u, delta, A, B, C, D, z, delta_bias) -> None:
    """Raise what :func:`selective_scan` raises about its tensors."""
    tensors = u, delta, A, B, C, D, z, delta_bias
    check_tensors(_NAMES, tensors, needed=5)
    _check_shapes(*tensors)


def _check_shapes(u, delta, A, B, C, D, z, delta_bias):
    if u.ndim != 3 or 0 in u.shape:
        raise ValueError(f'u must be (B, D, L), none of them 0, but is {_shape(u)}')
    batch, channels, length = u.shape
    if A.ndim != 2 or A.shape[0] != channels or A.shape[1] == 0:
        raise ValueError(f'A must be (D, N) with D={channels}, but is {_shape(A)}')
    for name, x in dict(delta=delta, z=z).items():
        if x is not None and x.shape != u.shape:
            raise ValueError(
                f'{name} must have the shape of u, {_shape(u)}, but is {_shape(x)}'
            )
    for name, x in dict(D=D, delta_bias=delta_bias).items():
        if x is not None and x.shape != (channels,):
            raise ValueError(f'{name} must be ({channels},), but is {_shape(x)}')
    for name, x in dict(B=B, C=C).items():
        groups = x.shape[1] if x.ndim == 4 else 1
        expected = (batch, *x.shape[1:-2], A.shape[1], length)
        fits = x.ndim in (3, 4) and x.shape == expected
        if not fits or groups == 0 or channels % groups:
            raise ValueError(
                f'{name} must be (B, N, L) or (B, G, N, L) with B={batch}, '
                f'N={A.shape[1]}, L={length} and G a divisor of {channels}, '
                f'but is {_shape(x)}'
            )
    if B.shape != C.shape:
        raise ValueError(f'B and C must be alike, but are {_shape(B)} and {_shape(C)}')


def _shape(x):
    return tuple(x.shape)
