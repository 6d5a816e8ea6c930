"""Other ways to compute a scan in one direction, gate included."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def published_loop(u, delta, A, B, C, D, delta_bias, z, masked=False):
    """A step a token, with an index into (B, D, L, N), as in the released code.

    Its masked scan works out the unmasked output too.
    """
    delta = F.softplus(delta + delta_bias[:, None])
    a = torch.exp(torch.einsum('bdl,dn->bdln', delta, A))
    b = torch.einsum('bdl,bnl,bdl->bdln', delta, B, u)
    h = u[:, :, 0, None].expand(-1, -1, A.shape[1])
    y, y_masked = [], []
    for i in range(u.shape[2]):
        h = a[:, :, i] * h + b[:, :, i]
        y.append(torch.einsum('bdn,bn->bd', h, C[:, :, i]))
        if masked:
            r = torch.zeros_like(h) if i == 0 else h - b[:, :, i]
            y_masked.append(torch.einsum('bdn,bn->bd', r, C[:, :, i]))
    return (torch.stack(y_masked or y, 2) + D[:, None] * u) * F.silu(z)


def published_pair(forward, backward, z):
    """Both directions, the second one over flipped copies."""
    u, delta, A, B, C, D, delta_bias = backward
    u, delta, B, C = (x.flip(-1) for x in (u, delta, B, C))
    inputs = u, delta, A, B, C, D, delta_bias, z.flip(-1)
    y = published_loop(*inputs, masked=True).flip(-1)
    return y + published_loop(*forward, z)


def cumulative_chunks(u, delta, A, B, C, D, delta_bias, z, size=16):
    """A cumulative sum within each chunk, over exponentials of cumulative decay."""
    delta = F.softplus(delta + delta_bias[:, None])
    h = u.new_zeros(*u.shape[:2], A.shape[1])
    y = []
    for start in range(0, u.shape[2], size):
        t = slice(start, start + size)
        decay = torch.exp(delta[..., t].cumsum(2)[..., None] * A[:, None])
        b = (delta * u)[..., t, None] * B[..., t].mT[:, None]
        states = decay * (h[:, :, None] + (b / decay).cumsum(2))
        h = states[:, :, -1]
        y.append(torch.einsum('bdtn,bnt->bdt', states, C[..., t]))
    return (torch.cat(y, 2) + D[:, None] * u) * F.silu(z)


def mambapy_pscan(u, delta, A, B, C, D, delta_bias, z):
    from mambapy.pscan import pscan

    delta = F.softplus(delta + delta_bias[:, None]).mT  # (B, L, D)
    a = torch.exp(delta[..., None] * A)
    b = (delta * u.mT)[..., None] * B.mT[:, :, None]
    y = (pscan(a, b) @ C.mT[..., None]).squeeze(3)
    return (y.mT + D[:, None] * u) * F.silu(z)


def transformers_slow_path(u, delta, A, B, C, D, delta_bias, z):
    from transformers.models.mamba.modeling_mamba import mamba_selective_scan

    return mamba_selective_scan(
        u, delta, A, B, C, D, z=z, delta_bias=delta_bias, delta_softplus=True
    )
