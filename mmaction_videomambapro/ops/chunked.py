"""The selective scan in plain PyTorch, chunk by chunk: runs anywhere, stays small.

The forward pass keeps one state per chunk of tokens, the backward pass recomputes
the others, so the extra memory is B * D * N * L / chunk and not B * D * N * L.
"""

from __future__ import annotations

from functools import wraps

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Bytes of one chunk's states, so that the three or four arrays that a chunk works
# on stay in the cache of a core: 0.25 to 1 MB measured alike, 4 MB a third slower.
_CHUNK_BYTES = 1 << 19


def selective_scan_chunked(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, *,
    residual=False, masked=False, reverse=False,
) -> Tensor:  # fmt: skip
    """Scan with memory linear in L / chunk; differentiable once.

    Arguments, shapes and result are those of :func:`selective_scan`.
    """
    state_dtype = torch.promote_types(u.dtype, torch.float32)
    B, C = (x[:, None] if x.ndim == 3 else x for x in (B, C))  # (B, G, N, L)
    dt = delta.to(state_dtype)
    if delta_bias is not None:
        dt = dt + delta_bias.to(state_dtype)[:, None]
    if delta_softplus:
        dt = F.softplus(dt)
    u_ = u.to(state_dtype)
    A, B, C = (x.to(state_dtype) for x in (A, B, C))
    y = _Scan.apply(u_, dt, A, B, C, residual, masked, reverse)
    if D is not None:
        y = torch.addcmul(y, D.to(state_dtype)[:, None], u_)
    if z is not None:
        y = y * F.silu(z.to(state_dtype))
    return y.to(u.dtype)


def _without_autocast(function):
    """Keep a surrounding autocast away from the state's float32 products."""

    @wraps(function)
    def wrapper(ctx, x, *args):
        with torch.autocast(x.device.type, enabled=False):
            return function(ctx, x, *args)

    return wrapper


class _Scan(torch.autograd.Function):
    """The recurrence alone: y_i = <C_i, r_i> for given u, dt, A, B, C.

    Inside, everything is token-major with the channels last, (L, B, G, N, D / G):
    one token's states are one contiguous block. G is the number of B/C groups.
    """

    @staticmethod
    @_without_autocast
    def forward(ctx, u, dt, A, B, C, residual, masked, reverse):
        ctx.flags = residual, masked, reverse
        tokens = _Tokens(u, dt, A, B, C, reverse)
        h = tokens.initial_state(residual)
        y = torch.empty_like(tokens.u)  # (L, B, G, 1, Dg)
        keep = any(ctx.needs_input_grad)
        starts = []
        for chunk in tokens.chunks():
            if keep:
                starts.append(h)
            _, carried, states = tokens.states(chunk, h)
            h = states[tokens.last(chunk)].clone()
            read = carried if masked else states
            if masked and tokens.holds_first(chunk):
                read[tokens.first - chunk.start] = 0
            torch.matmul(tokens.C[chunk].mT, read, out=y[chunk])
        ctx.save_for_backward(u, dt, A, B, C, *starts)
        return tokens.channel_major(y)

    @staticmethod
    @once_differentiable
    @_without_autocast
    def backward(ctx, dy):
        residual, masked, reverse = ctx.flags
        u, dt, A, B, C, *starts = ctx.saved_tensors
        tokens = _Tokens(u, dt, A, B, C, reverse)
        dy = tokens.token_major(dy)
        du, ddt = torch.empty_like(tokens.u), torch.empty_like(tokens.u)
        dA = torch.zeros_like(tokens.A)
        dB, dC = torch.empty_like(tokens.B), torch.empty_like(tokens.C)
        carry = tokens.initial_state(False)  # nothing reads the last state

        for chunk in reversed(tokens.chunks()):
            a, carried, states = tokens.states(chunk, starts.pop())
            torch.matmul(carried if masked else states, dy[chunk].mT, out=dC[chunk])
            # dp, db: gradients of carried = a * h and of the token's own dt * B * u
            dp = tokens.C[chunk] * dy[chunk]
            if masked and tokens.holds_first(chunk):
                dp[tokens.first - chunk.start] = dC[tokens.first] = 0
            db = torch.empty_like(dp) if masked else dp
            for t in reversed(tokens.order(chunk)):
                if masked:
                    db[t] = carry
                dp[t] += carry
                torch.mul(a[t], dp[t], out=carry)

            udt = tokens.u[chunk] * tokens.dt[chunk]
            torch.matmul(db, udt.mT, out=dB[chunk])
            dudt = tokens.B[chunk].mT @ db
            q = carried.mul_(dp)  # dL/d(dt A)
            dA += (q * tokens.dt[chunk]).sum((0, 1))
            torch.mul(dudt, tokens.dt[chunk], out=du[chunk])
            torch.mul(dudt, tokens.u[chunk], out=ddt[chunk])
            ddt[chunk] += q.mul_(tokens.A).sum(-2, keepdim=True)

        if residual:
            du[tokens.first] += carry.sum(-2, keepdim=True)
        return (
            tokens.channel_major(du),
            tokens.channel_major(ddt),
            dA.mT.reshape(A.shape),
            dB.squeeze(-1).permute(1, 2, 3, 0),
            dC.squeeze(-1).permute(1, 2, 3, 0),
            None,
            None,
            None,
        )


class _Tokens:
    """Token-major views of the scan's inputs, and the walk along them."""

    def __init__(self, u, dt, A, B, C, reverse):
        self.groups = B.shape[1]
        self.u, self.dt = self.token_major(u), self.token_major(dt)
        self.A = A.unflatten(0, (self.groups, -1)).mT.contiguous()  # (G, N, Dg)
        self.B = B.permute(3, 0, 1, 2)[..., None].contiguous()  # (L, B, G, N, 1)
        self.C = C.permute(3, 0, 1, 2)[..., None].contiguous()
        self.reverse = reverse
        self.first = len(self.u) - 1 if reverse else 0

    def token_major(self, x):
        """(B, D, L) -> (L, B, G, 1, D / G)."""
        return x.permute(2, 0, 1).unflatten(2, (self.groups, 1, -1)).contiguous()

    def channel_major(self, x):
        """(L, B, G, 1, D / G) -> (B, D, L)."""
        return x.flatten(2).permute(1, 2, 0)

    def initial_state(self, residual):
        """State before the first token, (B, G, N, Dg): u_0 in all N states, or 0."""
        u0 = self.u[self.first].expand(-1, -1, self.A.shape[1], -1)
        return u0.clone() if residual else torch.zeros_like(u0)

    def chunks(self):
        """Slices of tokens, in scan order."""
        state = self.A.numel() * self.u.shape[1] * self.A.element_size()
        size = max(1, _CHUNK_BYTES // state)
        length = len(self.u)
        slices = [slice(s, min(s + size, length)) for s in range(0, length, size)]
        return slices[::-1] if self.reverse else slices

    def order(self, chunk):
        """Positions inside a chunk, in scan order."""
        order = range(chunk.stop - chunk.start)
        return order[::-1] if self.reverse else order

    def last(self, chunk):
        return self.order(chunk)[-1]

    def holds_first(self, chunk):
        return chunk.start <= self.first < chunk.stop

    def states(self, chunk, h):
        """Run a chunk from state h.

        Returns:
            tuple: a = exp(dt A), carried = a * h_before and the states h_after,
            each (T, B, G, N, Dg).
        """
        u, dt = self.u[chunk], self.dt[chunk]
        a = (dt * self.A).exp_()
        states = (u * dt) * self.B[chunk]
        carried = torch.empty_like(a)
        for t in self.order(chunk):
            torch.mul(a[t], h, out=carried[t])
            h = states[t].add_(carried[t])
        return a, carried, states
