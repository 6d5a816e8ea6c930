"""The scan's kernels as PyTorch operators, with fakes and gradients.

An operator takes one direction, or a second one with it: both share the gate and the
output. Arguments of the second end in _2. They are no lists, which would cost PyTorch
as much time as a short scan takes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import scan
from .call import Layout, Params, sum_first
from .jit import LANES
from .operator import operator, refuse_gradient


@operator
def selective_scan(
    z: Tensor | None,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    u_2: Tensor | None,
    delta_2: Tensor | None,
    A_2: Tensor | None,
    B_2: Tensor | None,
    C_2: Tensor | None,
    D_2: Tensor | None,
    delta_bias_2: Tensor | None,
    delta_softplus: bool,
    residual: bool,
    masked: list[bool],
    reverse: list[bool],
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scan; shapes are those of ``ops.selective_scan``, flags go by direction.

    Returns:
        tuple: y (B, D, L); and for the backward pass, empty unless ``keep``, y before
        the gate and the states in front of each chunk, flat.
    """
    first = u, delta, A, B, C, D, delta_bias
    second = u_2, delta_2, A_2, B_2, C_2, D_2, delta_bias_2
    directions = [first, second][: len(masked)]
    layout = _layout(u, B)
    y = layout.new_like(u)
    states = layout.new(len(directions) if keep else 0, _num_states(layout, A))
    ungated = layout.new_like(u) if keep and z is not None else y.new_empty(0)
    total = ungated if keep and z is not None else y  # of the directions so far
    for i, inputs in enumerate(directions):
        params = _params(layout, inputs, delta_softplus, residual, reverse[i])
        last = i == len(directions) - 1
        if keep:
            params.pointer('states', states[i])
        if i > 0:
            params.tokens('add', total)
        if last and z is not None:
            params.tokens('z', layout.token_major(z))
            if keep:
                params.tokens('ungated', ungated)
        params.tokens('y', y if last else total)
        kernel = scan.forward(A.shape[1], masked[i], layout.ragged, layout.double)
        params.run(kernel, scan.FORWARD_FIELDS)
    return y.to(u.dtype), ungated, states.view(-1)


@torch.library.register_fake(selective_scan)
def _(z, u, delta, A, B, *args):
    *_, masked, _, keep = args
    layout = _layout(u, B)
    y = layout.new_like(u, device=u.device)
    size = _num_states(layout, A) * len(masked) if keep else 0
    ungated = y if keep and z is not None else y.new_empty(0)
    return y.to(u.dtype, copy=True), ungated, y.new_empty(size)


@operator
def selective_scan_backward(
    dy: Tensor,
    z: Tensor | None,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    u_2: Tensor | None,
    delta_2: Tensor | None,
    A_2: Tensor | None,
    B_2: Tensor | None,
    C_2: Tensor | None,
    D_2: Tensor | None,
    delta_bias_2: Tensor | None,
    ungated: Tensor,
    states: Tensor,
    delta_softplus: bool,
    residual: bool,
    masked: list[bool],
    reverse: list[bool],
) -> list[Tensor]:
    """Gradients of z, u, ... delta_bias_2, without those that were not given."""
    first = u, delta, A, B, C, D, delta_bias
    second = u_2, delta_2, A_2, B_2, C_2, D_2, delta_bias_2
    directions = [first, second][: len(masked)]
    layout = _layout(u, B)
    dread = layout.token_major(dy)  # of what the states are read out to
    gradients = []
    states = states.view(len(directions), -1)
    for i, inputs in enumerate(directions):
        params = _params(layout, inputs, delta_softplus, residual, reverse[i])
        params.pointer('states', states[i])
        params.tokens('dy', dread)
        if i == 0 and z is not None:  # take the gate back, for both directions
            dz = layout.new_like(u)
            params.tokens('z', layout.token_major(z))
            params.tokens('ungated', ungated)
            params.tokens('dz', dz)
            if len(directions) > 1:
                dread = layout.new_like(u)
                params.tokens('dadd', dread)
        du, ddelta = layout.new_like(u), layout.new_like(u)
        params.tokens('du', du)
        params.tokens('ddelta', ddelta)
        # B and C are shared by channels: a sum for each task that sees some of them
        N = A.shape[1]
        dB, dC = (layout.new_like(B, params['parts']) for _ in range(2))
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
            *(du, ddelta, layout.by_channel(dA)),
            *(sum_first(x.mT).mT for x in (dB, dC)),  # as they lie in memory
            *(layout.by_channel(dD), layout.by_channel(dbias)),
        ]
        if i == 0 and z is not None:
            gradients.append(dz.to(z.dtype))
        for x, like in zip(found, inputs):
            if like is not None:
                gradients.append(x.to(like.dtype))
    return gradients


@torch.library.register_fake(selective_scan_backward)
def _(dy, z, *args):
    def tokens(x):  # the layout that the kernels write
        return torch.empty_like(x.mT, memory_format=torch.contiguous_format).mT

    gradients = [] if z is None else [tokens(z)]
    for u, delta, A, B, C, *weights in (args[:7], args[7:14]):
        if u is not None:
            gradients += [tokens(u), tokens(delta), A.new_empty(A.shape)]
            gradients += [tokens(B), tokens(C)]
            gradients += [x.new_empty(x.shape) for x in weights if x is not None]
    return gradients


def _setup_context(ctx, inputs, output):
    *tensors, softplus, residual, masked, reverse, _ = inputs
    _, ungated, states = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, ungated, states)
    ctx.flags = softplus, residual, masked, reverse


def _backward(ctx, dy, *_):
    *tensors, ungated, states = ctx.saved_tensors
    if dy is None:
        return (None,) * (len(tensors) + 5)
    found = iter(selective_scan_backward(dy, *tensors, ungated, states, *ctx.flags))
    gradients = [None if x is None else next(found) for x in tensors]
    return *gradients, *(None,) * 5


torch.library.register_autograd(selective_scan, _backward, setup_context=_setup_context)
refuse_gradient(selective_scan_backward)


@torch.library.register_vmap(selective_scan)
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
    params.pointer('A', layout.by_tile(layout.cast(A) * math.log2(math.e)))
    params.pointer('D', layout.by_tile(D))
    params.pointer('delta_bias', layout.by_tile(delta_bias))
    params.pointer('carry', layout.new_sums(A.shape[1]))
    for name, x in dict(u=u, delta=delta, B=B, C=C).items():
        params.tokens(name, layout.token_major(x))
    return params
