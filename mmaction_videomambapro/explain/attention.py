r"""The hidden attention of a mixer, exactly, and without a matrix of tokens by tokens.

A selective scan whose step sizes, B and C are frozen is linear in the tokens that it
scans, so there is a matrix of output tokens by input tokens for each channel: what is
called its hidden attention (arXiv 2403.01590). With
:math:`a_i = \exp(\Delta_i A)`, from the first token to the last,

.. math::
    M_{ij} = \sum_n C_{i,n} \Big(\prod_{k=j+1}^{i} a_{k,n}\Big)
        \Delta_j B_{j,n} \quad (i \ge j),

and 0 for i < j. D belongs to the diagonal; VideoMambaPro's mask empties that of the
backward scan, apart from D; and its residual adds
:math:`\sum_n C_{i,n} \prod_{k=0}^{i} a_{k,n}` to the first column, or last.
The gate scales rows, and so does the frozen sigmoid of the convolution's SiLU, on the
side of the columns, so that this holds for the whole mixer: it is an affine map of its
tokens, the constant being what the convolution's bias contributes.

No entry is computed by that formula. A row is the scan's gradient at one output token,
and a column is the scan of one token, each a call of the kernel that trains the model:
O(L N D) in time, O(L D) in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from ..models.layers.mixer import MaskedResidualBiMamba
from ..ops import ScanInputs, causal_conv1d, selective_scan


class FrozenScan(NamedTuple):
    """What one direction of a mixer does with its tokens.

    Attributes:
        inputs (ScanInputs): All that is scanned or selects; no gradients.
        weight (Tensor): Of the convolution, (D, K).
        bias (Tensor): Of the convolution, (D,).
        sigmoid (Tensor | None): Of the convolved tokens, (B, D, L); None if the tokens
            are scanned as they are.
        conv_reverse (bool): Whether the convolution runs backwards.
        residual (bool): Whether the scan starts from its first token.
        masked (bool): Whether its diagonal is masked.
        reverse (bool): Whether it runs backwards.
    """

    inputs: ScanInputs
    weight: Tensor
    bias: Tensor
    sigmoid: Tensor | None
    conv_reverse: bool
    residual: bool
    masked: bool
    reverse: bool


class HiddenAttention:
    """The hidden attention of one mixer for one batch of clips.

    Rows and columns keep the D inner channels apart, since each has a matrix of its
    own: (K, B, D, L) for K tokens. For one number per pair of tokens, take either

    - ``rows(...).abs().mean(2)``, the mean weight whatever its sign; a plain mean would
      show as 0 what two channels use in opposite ways, or
    - ``contributions(tokens).norm(dim=-1)``, the length of what a token adds to another
      token's output: weights times values, all channels projected, both directions.

    Args:
        mixer (MaskedResidualBiMamba): The mixer.
        hidden (Tensor): Its input, (B, L, C). Rows and columns are in its order, which
            is that of the layer.
        residual (bool, optional): Another value of this argument of the mixer, for the
            same weights and the same selection. Defaults to None: the mixer's.
        masked (bool, optional): Likewise. Defaults to None.

    Attributes:
        x (Tensor): Tokens before the convolution, (B, D, L).
        gate (Tensor): SiLU of z, (B, D, L).
        scans (dict[str, FrozenScan]): 'forward' and, if there is one, 'backward'.

    Raises:
        UsageError: If the mixer scans in two orders.
    """

    def __init__(
        self,
        mixer: MaskedResidualBiMamba,
        hidden: Tensor,
        residual: bool | None = None,
        masked: bool | None = None,
    ) -> None:
        if mixer.spatiotemporal != 'none':
            raise UsageError(
                'the hidden attention of a mixer that scans in two orders is not '
                "supported: use a model without scan_order='spatiotemporal_"
                f"{mixer.spatiotemporal}'"
            )
        self.mixer = mixer
        self._residual = mixer.residual if residual is None else residual
        self._masked = mixer.masked if masked is None else masked
        with torch.no_grad():
            self.x, z = (t.mT for t in mixer.in_proj(hidden).chunk(2, dim=-1))
            self.gate = F.silu(z)
            self.scans = dict(forward=self._freeze(''))
            if mixer.bimamba != 'none':
                self.scans['backward'] = self._freeze('_b')

    def _freeze(self, suffix: str) -> FrozenScan:
        mixer = self.mixer
        reverse, own = bool(suffix), suffix if mixer.bimamba == 'separate' else ''
        selected = mixer.scan_arguments(mixer.select(self.x, own), suffix)
        inputs = ScanInputs._make(t if t is None else t.detach() for t in selected)
        conv1d = getattr(mixer, f'conv1d{own}')
        weight, bias = conv1d.weight.squeeze(1).detach(), conv1d.bias.detach()
        sigmoid = None
        if mixer.scan_input == 'conv':
            c = causal_conv1d(self.x, weight, bias, reverse=bool(own))
            sigmoid = c.sigmoid()
        masked = self._masked and reverse
        flags = self._residual, masked, reverse
        return FrozenScan(inputs, weight, bias, sigmoid, bool(own), *flags)

    def apply(
        self,
        direction: str,
        tokens: Tensor,
        skip: bool = True,
        gate: bool = False,
        conv: bool = False,
    ) -> Tensor:
        """Multiply tokens by the matrix of a direction.

        Args:
            direction (str): 'forward' or 'backward'.
            tokens (Tensor): (B, D, L), in the place of what is scanned.
            skip (bool): Whether the matrix includes D. Defaults to True.
            gate (bool): Whether it includes the gate. Defaults to False.
            conv (bool): Whether it includes the convolution, without its bias, and its
                SiLU; ``tokens`` are in the place of those before it.
                Defaults to False.

        Returns:
            Tensor: (B, D, L).
        """
        scan = self.scans[direction]
        if conv and scan.sigmoid is not None:
            tokens = causal_conv1d(tokens, scan.weight, reverse=scan.conv_reverse)
            tokens = tokens * scan.sigmoid
        _, delta, A, B, C, D, delta_bias = scan.inputs
        y = selective_scan(
            tokens, delta, A, B, C,
            D=D if skip else None,
            delta_bias=delta_bias,
            delta_softplus=True,
            residual=scan.residual,
            masked=scan.masked,
            reverse=scan.reverse,
        )  # fmt: skip
        return y * self.gate if gate else y

    def rows(self, direction: str, tokens: Sequence[int], **parts: bool) -> Tensor:
        """Which tokens each of these output tokens reads.

        Args:
            direction (str): 'forward' or 'backward'.
            tokens (Sequence[int]): Their positions, K in all.
            **parts (bool): ``skip``, ``gate`` and ``conv`` of :meth:`apply`.

        Returns:
            Tensor: Weights of all L input tokens, (K, B, D, L).
        """
        with torch.enable_grad():
            x = torch.zeros_like(self.x).requires_grad_()
            y = self.apply(direction, x, **parts)
            found = [
                torch.autograd.grad(y, x, self._one_hot(i), retain_graph=True)[0]
                for i in tokens
            ]
        return torch.stack(found)

    @torch.no_grad()
    def columns(self, direction: str, tokens: Sequence[int], **parts: bool) -> Tensor:
        """Which output tokens each of these input tokens reaches.

        Args:
            direction (str): 'forward' or 'backward'.
            tokens (Sequence[int]): Their positions, K in all.
            **parts (bool): ``skip``, ``gate`` and ``conv`` of :meth:`apply`.

        Returns:
            Tensor: Weights in all L output tokens, (K, B, D, L).
        """
        one_hots = map(self._one_hot, tokens)
        return torch.stack([self.apply(direction, x, **parts) for x in one_hots])

    def _one_hot(self, token: int) -> Tensor:
        """1 in all channels of a token."""
        x = torch.zeros_like(self.x)
        x[..., token] = 1
        return x

    @torch.no_grad()
    def contributions(self, tokens: Sequence[int]) -> Tensor:
        """What each input token of the mixer adds to these tokens of its output.

        Args:
            tokens (Sequence[int]): Positions of K output tokens.

        Returns:
            Tensor: (K, B, L, C). Its sum over the L input tokens, together with
            :meth:`offset`, is the output of the mixer.
        """
        found = sum(self.rows(x, tokens, gate=True, conv=True) for x in self.scans)
        return self.mixer.out_proj((found * self.x).mT)

    @torch.no_grad()
    def offset(self) -> Tensor:
        """The mixer's output without tokens, from the convolution's bias: (B, L, C)."""
        y = torch.zeros_like(self.x)
        for direction, scan in self.scans.items():
            if scan.sigmoid is not None:
                bias = scan.sigmoid * scan.bias[:, None]
                y = y + self.apply(direction, bias, gate=True)
        return self.mixer.out_proj(y.mT)
