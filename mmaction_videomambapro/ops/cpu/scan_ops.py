"""The scan's kernels as PyTorch operators, with fakes and gradients.

An operator takes a list for every input, with one entry for each direction, and
gives the gated sum of their scans: the directions share the gate and one output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from . import scan
from .call import Layout, Params, sum_first
from .jit import LANES

NAMESPACE = 'mmaction_videomambapro'


@torch.library.custom_op(f'{NAMESPACE}::selective_scan', mutates_args=())
def selective_scan(
    u: Sequence[Tensor],
    delta: Sequence[Tensor],
    A: Sequence[Tensor],
    B: Sequence[Tensor],
    C: Sequence[Tensor],
    D: Sequence[Tensor],
    delta_bias: Sequence[Tensor],
    z: Tensor | None,
    delta_softplus: bool,
    residual: bool,
    masked: Sequence[bool],
    reverse: Sequence[bool],
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scan in one direction or several.

    Shapes are those of ``ops.selective_scan``; ``D`` and ``delta_bias`` may be empty.

    Returns:
        tuple: y (B, D, L); and for the backward pass, empty unless ``keep``, y before
        the gate (B, L, D) and the states in front of each chunk, flat.
    """
    layout = _layout(u[0], B[0])
    y = layout.new_tokens()
    states = layout.new(_num_states(layout, A[0]) * len(u) if keep else 0)
    ungated = layout.new_tokens() if keep and z is not None else y.new_empty(0)
    total = ungated if ungated.numel() else y  # of the directions so far
    for i, kept in enumerate(states.chunk(len(u))):
        inputs = [x[i] if x else None for x in (u, delta, A, B, C, D, delta_bias)]
        params = _params(layout, inputs, delta_softplus, residual, reverse[i])
        last = i == len(u) - 1
        if keep:
            params.pointer('states', kept)
        if i > 0:
            params.tokens('add', total)
        if last and z is not None:
            params.tokens('z', layout.token_major(z))
            if keep:
                params.tokens('ungated', ungated)
        params.tokens('y', y if last else total)
        kernel = scan.forward(A[i].shape[1], masked[i], layout.ragged, layout.double)
        params.run(kernel, scan.FORWARD_FIELDS)
    return y.mT.to(u[0].dtype), ungated, states


@selective_scan.register_fake
def _(u, delta, A, B, C, D, delta_bias, z, softplus, residual, masked, reverse, keep):
    layout = _layout(u[0], B[0])
    y = layout.new_tokens(u[0].device)
    states = layout.new(
        _num_states(layout, A[0]) * len(u) if keep else 0, device=y.device
    )
    ungated = y if keep and z is not None else y.new_empty(0)
    return y.mT.to(u[0].dtype, copy=True), ungated, states


@torch.library.custom_op(f'{NAMESPACE}::selective_scan_backward', mutates_args=())
def selective_scan_backward(
    dy: Tensor,
    u: Sequence[Tensor],
    delta: Sequence[Tensor],
    A: Sequence[Tensor],
    B: Sequence[Tensor],
    C: Sequence[Tensor],
    D: Sequence[Tensor],
    delta_bias: Sequence[Tensor],
    z: Tensor | None,
    ungated: Tensor,
    states: Tensor,
    delta_softplus: bool,
    residual: bool,
    masked: Sequence[bool],
    reverse: Sequence[bool],
) -> list[Tensor]:
    """Gradients of u, delta, A, B, C, D, delta_bias by direction, then of z."""
    layout = _layout(u[0], B[0])
    dy = layout.token_major(dy)
    dz = None if z is None else layout.new_tokens()
    dread = layout.new_tokens() if z is not None and len(u) > 1 else None
    gradients = []
    for i, kept in enumerate(states.chunk(len(u))):
        inputs = [x[i] if x else None for x in (u, delta, A, B, C, D, delta_bias)]
        params = _params(layout, inputs, delta_softplus, residual, reverse[i])
        params.pointer('states', kept)
        # the first direction takes the gate back, for the others too
        params.tokens('dy', dy if i == 0 or z is None else dread)
        if i == 0 and z is not None:
            params.tokens('z', layout.token_major(z))
            params.tokens('ungated', ungated)
            params.tokens('dz', dz)
            if dread is not None:
                params.tokens('dadd', dread)
        du, ddelta = layout.new_tokens(), layout.new_tokens()
        params.tokens('du', du)
        params.tokens('ddelta', ddelta)
        # B and C are shared by channels: a sum for each task that sees some of them
        N = A[i].shape[1]
        shape = params['parts'], layout.batch, layout.groups, layout.length, N
        dB, dC = layout.new(*shape), layout.new(*shape)
        for name, x in dict(dB=dB, dC=dC).items():
            params.tokens(name, x[0])
            params[f'{name}_part'] = x.stride(0) * x.element_size()
        # and A, D, delta_bias by clips
        dA, dD, dbias = layout.new_sums(N), layout.new_sums(), layout.new_sums()
        for name, x in dict(dA=dA, dD=dD, ddelta_bias=dbias).items():
            params.pointer(name, x)
        kernel = scan.backward(N, masked[i], layout.ragged, layout.double)
        params.run(kernel, scan.BACKWARD_FIELDS)
        found = [
            *(du.mT, ddelta.mT, layout.by_channel(dA)),
            *(
                sum_first(x).mT.reshape(like.shape)
                for x, like in zip((dB, dC), inputs[3:])
            ),
            *(layout.by_channel(x) for x in (dD, dbias)),
        ]
        gradients += [
            x.to(like.dtype) for x, like in zip(found, inputs) if like is not None
        ]
    return gradients if z is None else [*gradients, dz.mT.to(z.dtype)]


@selective_scan_backward.register_fake
def _(dy, u, delta, A, B, C, D, delta_bias, z, *args):
    def like(x):  # the layout that the kernels write
        return torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT

    gradients = []
    for i in range(len(u)):
        gradients += [like(u[i]), like(delta[i]), A[i].new_empty(A[i].shape)]
        gradients += [like(B[i]), like(C[i])]
        gradients += [x[i].new_empty(x[i].shape) for x in (D, delta_bias) if x]
    return gradients if z is None else [*gradients, like(z)]


def _setup_context(ctx, inputs, output):
    *tensors, z, softplus, residual, masked, reverse, _ = inputs
    ctx.set_materialize_grads(False)
    ctx.lengths = [len(x) for x in tensors]
    ctx.flags = softplus, residual, list(masked), list(reverse)
    _, ungated, states = output
    ctx.save_for_backward(*(x for xs in tensors for x in xs), z, ungated, states)


def _backward(ctx, dy, *_):
    saved = iter(ctx.saved_tensors)
    tensors = [[next(saved) for _ in range(length)] for length in ctx.lengths]
    z, ungated, states = saved
    if dy is None:
        return *([None] * n for n in ctx.lengths), *(None,) * 6
    found = iter(
        torch.ops.mmaction_videomambapro.selective_scan_backward(
            dy, *tensors, z, ungated, states, *ctx.flags
        )
    )
    gradients = [[] for _ in tensors]
    for _ in tensors[0]:
        for given, xs in zip(tensors, gradients):
            if given:
                xs.append(next(found))
    dz = None if z is None else next(found)
    return *gradients, dz, None, None, None, None, None


selective_scan.register_autograd(_backward, setup_context=_setup_context)


@selective_scan.register_vmap
def _(info, in_dims, *args):
    raise NotImplementedError(
        "torch.func.vmap does not reach into the scan's CPU kernels: put the mapped "
        'dimension into the batch, or set MMACTION_VIDEOMAMBAPRO_SCAN=naive'
    )


def _layout(u, B):
    return Layout(u, groups=B.shape[1] if B.ndim == 4 else 1)


def _num_states(layout, A):
    """Size of the states in front of each chunk of one direction."""
    chunks = (layout.length + scan.CHUNK - 1) // scan.CHUNK
    tiles = layout.batch * layout.groups * layout.tiles
    return tiles * chunks * A.shape[1] * LANES


def _params(layout, inputs, delta_softplus, residual, reverse):
    """Everything that both kernels take."""
    u, delta, A, B, C, D, delta_bias = inputs
    params = Params(layout, reverse)
    params['delta_softplus'], params['residual'] = int(delta_softplus), int(residual)
    params.pointer('A', layout.by_tile(A.to(layout.dtype) * math.log2(math.e)))
    params.pointer('D', layout.by_tile(D))
    params.pointer('delta_bias', layout.by_tile(delta_bias))
    params.pointer('carry', layout.new_sums(A.shape[1]))
    for name, x in dict(u=u, delta=delta, B=B, C=C).items():
        params.tokens(name, layout.token_major(x))
    return params
