"""The scan's kernels as PyTorch operators, with fakes and gradients.

An operator takes one direction, or a second one with it: both share the gate and the
output. Arguments of the second end in _2. They are no lists, which would cost PyTorch
as much time as a short scan takes.
"""

from __future__ import annotations

from array import array

import torch
from torch import Tensor

from . import scan
from .call import Layout, Params, sum_first
from .jit import LANES
from .operator import Operator


@Operator
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
        params = Params(scan.FORWARD_FIELDS, layout, reverse[i])
        _set(params, inputs, delta_softplus, residual)
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
        params.run(kernel)
    return y.to(u.dtype), ungated, states.view(-1)


@selective_scan.fake
def _(z, u, delta, A, B, *args):
    *_, masked, _, keep = args
    layout = _layout(u, B)
    y = layout.new_like(u, device=u.device)
    size = _num_states(layout, A) * len(masked) if keep else 0
    ungated = y if keep and z is not None else y.new_empty(0)
    return y.to(u.dtype, copy=True), ungated, y.new_empty(size)


@Operator
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
        params = Params(scan.BACKWARD_FIELDS, layout, reverse[i])
        _set(params, inputs, delta_softplus, residual)
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
        # B and C are shared by channels: a sum for each task that sees some of them.
        # The kernel adds the others to the first
        N = A.shape[1]
        dB, dC = (layout.new_like(B, params.parts) for _ in range(2))
        params.tokens('dB', dB[0])
        params.tokens('dC', dC[0])
        params.set('part', B.numel() * layout.item)
        # and A, D, delta_bias by clips
        clips = layout.batch
        dA = layout.new(clips, *A.shape)
        dD, dbias = (layout.new(clips, len(A)) for _ in range(2))
        params.pointer('dA', dA)
        params.pointer('dD', dD)
        params.pointer('ddelta_bias', dbias)
        params.pointer('arrivals', array('q', bytes(8 * clips * layout.groups)))
        kernel = scan.backward(N, masked[i], layout.ragged, layout.double)
        params.run(kernel)
        if i == 0 and z is not None:
            gradients.append((dz, z))
        dA, dD, dbias = (sum_first(x) for x in (dA, dD, dbias))
        gradients += zip((du, ddelta, dA, dB[0], dC[0], dD, dbias), inputs)
    return [
        x if x.dtype == like.dtype else x.to(like.dtype)
        for x, like in gradients
        if like is not None
    ]


@selective_scan_backward.fake
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


selective_scan.gradient(_backward, _setup_context)
selective_scan_backward.refuse_gradient()


def _layout(u, B):
    return Layout(u, groups=B.shape[1] if B.ndim == 4 else 1)


def _num_states(layout, A):
    """Size of the states in front of each chunk of one direction."""
    chunks = (layout.length + scan.CHUNK - 1) // scan.CHUNK
    tiles = layout.batch * layout.groups * layout.tiles
    return tiles * chunks * A.shape[1] * LANES


def _set(params, inputs, delta_softplus, residual):
    """Everything that both kernels take."""
    u, delta, A, B, C, D, delta_bias = inputs
    layout = params.layout
    params.set('delta_softplus', int(delta_softplus))
    params.set('residual', int(residual))
    params.weight('A', A)
    params.weight('D', D)
    params.weight('delta_bias', delta_bias)
    params.pointer('scratch', layout.scratch(3 * A.shape[1]))
    params.tokens('u', layout.token_major(u))
    params.tokens('delta', layout.token_major(delta))
    params.tokens('B', layout.token_major(B))
    params.tokens('C', layout.token_major(C))
