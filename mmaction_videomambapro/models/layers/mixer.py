"""The mixer: two selective scans over the tokens, forwards and backwards."""

from __future__ import annotations

import math
from functools import partial
from itertools import islice

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...ops import ScanInputs, bidirectional_scan, causal_conv1d, selective_scan
from ...ops.operators.scan import ScanFlags
from ...ops.scan_selected import operator_for, scan_selected
from ..checks import check_choice
from .orders import change, reorder

# Mamba's range of initial step sizes, drawn log-uniformly.
DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 0.1, 1e-4

# Names of parameters, for optimizers, checkpoints and counts. What is tied to states is
# not decayed by Mamba's own rule; patterns are of what only a backward scan has.
STATES = frozenset({'A_log', 'A_b_log', 'D', 'D_b'})
BACKWARD = r'A_b_log|D_b|(conv1d|x_proj|dt_proj)_b\.\w+'
PROJECTIONS = 'in_proj', 'out_proj'


def forward_name(name: str) -> str:
    """The parameter of the forward scan that a backward one corresponds to."""
    return name.replace('_b', '', 1)


@MODELS.register_module()
class MaskedResidualBiMamba(nn.Module):
    """Bidirectional Mamba mixer, the block of VideoMamba and VideoMambaPro.

    With ``residual=False, masked=False`` this is VideoMamba's mixer
    (arXiv 2403.06977). With both True it is VideoMambaPro's (arXiv 2406.19006):
    scans start from their first token, and the backward scan reads each state
    without the token's own contribution. Parameter names are those of the
    published checkpoints; ``_b`` marks the backward direction.

    VideoMambaPro's released code does not build, and it is not clear which of its
    modules belong together, so the choices are arguments.

    Args:
        embed_dims (int): Channels C of the tokens.
        d_state (int): States N per inner channel. Defaults to 16.
        d_conv (int): Taps of the causal convolution. Defaults to 4.
        expand (int): Inner channels are ``expand * embed_dims``. Defaults to 2.
        dt_rank (int | str): Rank of the step-size projection; 'auto' is
            ceil(C / 16). Defaults to 'auto'.
        bimamba (str): 'separate' gives the backward scan its own convolution,
            projections, A and D ("v2" in the published code), 'shared' only its own
            A ("v1"), and 'none' leaves it out. Defaults to 'separate'.
        scan_input (str): What is scanned: 'conv', the convolved and activated
            tokens, or 'raw', the tokens before the convolution, which then only
            determines the step sizes, B and C. Defaults to 'conv'.
        residual (bool): Start both scans from their first token instead of 0.
            Defaults to True.
        masked (bool): Mask the diagonal of the backward scan. Defaults to True.
        spatiotemporal (str): Whether to scan in a second order too, in which
            :meth:`forward` is told where the tokens stand: 'none', 'v1' (the backward
            scan takes the second order, the forward one the first) or 'v2' (both
            directions take both orders, with the same parameters). The results are
            added, each scan's convolution runs in its order, and without a backward
            scan 'v1' has none in the second order. Defaults to 'none'.
        with_cp (bool): Compute the convolutions and the step sizes again in the
            backward pass instead of keeping them, half of what a mixer keeps. Nothing
            changes without kernels of this package, in a compiled model, or with a
            hook or an adapter on ``x_proj``. Defaults to False.

    Raises:
        ValueError: If ``bimamba``, ``scan_input`` or ``spatiotemporal`` is none of the
            above.
    """

    def __init__(
        self,
        embed_dims: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | str = 'auto',
        bimamba: str = 'separate',
        scan_input: str = 'conv',
        residual: bool = True,
        masked: bool = True,
        spatiotemporal: str = 'none',
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        check_choice('bimamba', bimamba, ('separate', 'shared', 'none'))
        check_choice('scan_input', scan_input, ('conv', 'raw'))
        check_choice('spatiotemporal', spatiotemporal, ('none', 'v1', 'v2'))
        self.embed_dims = embed_dims
        self.d_inner = expand * embed_dims
        self.d_state = d_state
        self.dt_rank = math.ceil(embed_dims / 16) if dt_rank == 'auto' else dt_rank
        self.bimamba = bimamba
        self.scan_input = scan_input
        self.residual = residual
        self.masked = masked
        self.spatiotemporal = spatiotemporal
        self.with_cp = with_cp

        self.in_proj = nn.Linear(embed_dims, 2 * self.d_inner, bias=False)
        self._add_selection('', d_conv)
        self._add_scan('')
        if bimamba == 'separate':
            self._add_selection('_b', d_conv)
        if bimamba != 'none':
            self._add_scan('_b')
        self.out_proj = nn.Linear(self.d_inner, embed_dims, bias=False)

    def _add_selection(self, suffix: str, d_conv: int) -> None:
        """Add the parameters that compute delta, B and C from the tokens."""
        inner, rank = self.d_inner, self.dt_rank
        self.add_module(
            f'conv1d{suffix}', nn.Conv1d(inner, inner, d_conv, groups=inner)
        )
        x_proj = nn.Linear(inner, rank + 2 * self.d_state, bias=False)
        self.add_module(f'x_proj{suffix}', x_proj)
        dt_proj = nn.Linear(rank, inner)
        nn.init.uniform_(dt_proj.weight, -(rank**-0.5), rank**-0.5)
        # softplus(bias) is the initial step size: invert it
        dt = torch.exp(torch.empty(inner).uniform_(math.log(DT_MIN), math.log(DT_MAX)))
        dt = dt.clamp(min=DT_FLOOR)
        with torch.no_grad():
            dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))
        self.add_module(f'dt_proj{suffix}', dt_proj)

    def _add_scan(self, suffix: str) -> None:
        """Add the parameters of a scan itself: A, and D unless it is shared."""
        states = torch.arange(1, self.d_state + 1, dtype=torch.float32)
        A_log = states.log().repeat(self.d_inner, 1)
        name = 'A_b_log' if suffix else 'A_log'
        self.register_parameter(name, nn.Parameter(A_log))
        if not suffix or self.bimamba == 'separate':
            D = nn.Parameter(torch.ones(self.d_inner))
            self.register_parameter(f'D{suffix}', D)

    def forward(self, hidden: Tensor, temporal: Tensor | None = None) -> Tensor:
        """Mix tokens.

        Args:
            hidden (Tensor): Tokens, (B, L, C).
            temporal (Tensor, optional): Where the tokens in the second order stand in
                ``hidden``, (L,) or (B, L); see ``spatiotemporal``. Defaults to None.

        Returns:
            Tensor: (B, L, C), in the order of ``hidden``.

        Raises:
            ValueError: If there is no second order where ``spatiotemporal`` needs one,
                or there is one where it does not.
        """
        tokens = self.in_proj(hidden)
        parts = []
        for order, directions in self.passes(temporal):
            # (B, L, 2 * Di) memory seen as (B, Di, L): no copy, the scan takes strides
            x, z = (t.mT for t in reorder(tokens, order).chunk(2, dim=-1))
            y = self.mix(x, z, directions).mT
            parts.append(reorder(y, change(order, None)))
        return self.out_proj(parts[0] if len(parts) == 1 else parts[0] + parts[1])

    def passes(
        self, temporal: Tensor | None
    ) -> list[tuple[Tensor | None, tuple[str, ...]]]:
        """The orders in which tokens are walked, and in which directions each is.

        A direction is '' forwards and '_b' backwards, as in the parameters' names.
        """
        if (temporal is None) != (self.spatiotemporal == 'none'):
            raise ValueError(
                f'spatiotemporal={self.spatiotemporal!r}, but the mixer was given '
                f'{"no" if temporal is None else "a"} temporal order of its tokens'
            )
        directions = ('',) if self.bimamba == 'none' else ('', '_b')
        if temporal is None:
            return [(None, directions)]
        if self.spatiotemporal == 'v2':
            return [(None, directions), (temporal, directions)]
        found = [(None, directions[:1]), (temporal, directions[1:])]
        return found[: len(directions)]

    def mix(self, x: Tensor, z: Tensor, directions: tuple[str, ...]) -> Tensor:
        """Convolve, scan and gate tokens x with z, both (B, Di, L), in one order."""
        if self.with_cp:
            operator = operator_for(x, self.d_state)
            if operator is not None and self._projects_by_weights_alone():
                return self._scan_selected(operator, x, z, directions)
        return self.scan(self.arguments(x, directions), z)

    def _scan_selected(self, operator, x, z, directions):
        """:meth:`mix`, which selects again in the backward pass."""
        own = directions if self.bimamba == 'separate' else ('',)
        weights = [
            weight
            for conv1d, x_proj, dt_proj in map(self._layers, own)
            for weight in (conv1d.weight, conv1d.bias, x_proj.weight, dt_proj.weight)
        ]
        dynamics = [w for suffix in directions for w in self._dynamics(suffix)]

        def select(product, x, *tensors):
            tensors = iter(tensors)
            selected = []
            for suffix in own:
                conv1d, bias, x_proj, dt_proj = islice(tensors, 4)
                project = partial(product, weight=x_proj)
                selected.append(self._select(x, suffix, conv1d, bias, project, dt_proj))
            found = []
            for u, delta, B, C in selected * (len(directions) // len(own)):
                A, D, bias = islice(tensors, 3)
                found.append(ScanInputs(u, delta, A, B, C, D, bias))
            return found

        reverse = [bool(suffix) for suffix in directions]
        masked = [self.masked and backward for backward in reverse]
        flags = ScanFlags(True, self.residual, masked, reverse)
        return scan_selected(operator, flags, select, z, x, *weights, *dynamics)

    def arguments(
        self, x: Tensor, directions: tuple[str, ...]
    ) -> dict[str, ScanInputs]:
        """All arguments of the scans of tokens (B, Di, L), by their direction."""
        found, selected = {}, {}
        for suffix in directions:
            own = suffix if self.bimamba == 'separate' else ''
            if own not in selected:
                selected[own] = self.select(x, own)
            found[suffix] = self.scan_arguments(selected[own], suffix)
        return found

    def scan(self, arguments: dict[str, ScanInputs], z: Tensor | None = None) -> Tensor:
        """Scan in one direction or both: their sum, gated if there is a gate."""
        flags = dict(delta_softplus=True, residual=self.residual)
        if len(arguments) == 2:
            return bidirectional_scan(
                arguments[''], arguments['_b'], z, masked=self.masked, **flags
            )
        ((suffix, inputs),) = arguments.items()
        if suffix:
            flags.update(masked=self.masked, reverse=True)
        return selective_scan(**inputs._asdict(), z=z, **flags)

    def select(self, x: Tensor, suffix: str) -> tuple[Tensor, ...]:
        """Compute a scan's u, delta, each (B, Di, L), and B, C, each (B, N, L).

        ``suffix`` is '' forwards and '_b' backwards, as in the parameters' names.
        """
        conv1d, x_proj, dt_proj = self._layers(suffix)
        return self._select(
            x, suffix, conv1d.weight, conv1d.bias, x_proj, dt_proj.weight
        )

    def _select(self, x, suffix, conv1d, bias, x_proj, dt_proj):
        conv = causal_conv1d(x, conv1d.squeeze(1), bias, 'silu', reverse=bool(suffix))
        sizes = [self.dt_rank, self.d_state, self.d_state]
        dt, B, C = x_proj(conv.mT).split(sizes, dim=-1)
        delta = F.linear(dt, dt_proj)  # its bias is added inside the scan
        return (conv if self.scan_input == 'conv' else x), delta.mT, B.mT, C.mT

    def scan_arguments(self, selected: tuple[Tensor, ...], suffix: str) -> ScanInputs:
        """All arguments of a scan, given what :meth:`select` returns."""
        u, delta, B, C = selected
        A, D, delta_bias = self._dynamics(suffix)
        return ScanInputs(u, delta, A, B, C, D, delta_bias)

    def _layers(self, suffix):
        """What selects."""
        names = 'conv1d', 'x_proj', 'dt_proj'
        return [getattr(self, name + suffix) for name in names]

    def _dynamics(self, suffix):
        """A scan's A, D and bias of the step sizes."""
        A_log = self.A_b_log if suffix else self.A_log
        # in float32 at least, whatever the type of the parameters
        A = -torch.exp(A_log.to(torch.promote_types(A_log.dtype, torch.float32)))
        own = suffix if self.bimamba == 'separate' else ''
        return A, getattr(self, f'D{own}'), getattr(self, f'dt_proj{own}').bias

    def _projects_by_weights_alone(self):
        """Whether ``x_proj`` has neither an adapter around it nor hooks."""
        layers = [m for name, m in self.named_children() if 'x_proj' in name]
        return all(
            type(layer) is nn.Linear
            and 'forward' not in vars(layer)
            and layer.bias is None
            and not layer._forward_hooks
            and not layer._forward_pre_hooks
            and not layer._backward_hooks
            and not layer._backward_pre_hooks
            for layer in layers
        )

    def extra_repr(self) -> str:
        text = (
            f'bimamba={self.bimamba!r}, scan_input={self.scan_input!r}, '
            f'residual={self.residual}, masked={self.masked}'
        )
        if self.spatiotemporal != 'none':
            text += f', spatiotemporal={self.spatiotemporal!r}'
        return text
