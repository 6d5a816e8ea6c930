"""Runs the scan's kernels."""

from __future__ import annotations

from array import array

from ..operators.scan import ScanOperator
from . import scan
from .call import Layout, Params, sum_first
from .lanes import LANES


def _forward(directions, z, flags, keep):
    u, _, A, B, *_ = directions[0]
    layout = _layout(u, B)
    y = layout.new_like(u)
    states = layout.new(len(directions) if keep else 0, _count_states(directions[0]))
    ungated = layout.new_like(u) if keep and z is not None else y.new_empty(0)
    total = ungated if keep and z is not None else y  # of the directions so far
    for i, inputs in enumerate(directions):
        params = Params(scan.FORWARD_FIELDS, layout, flags.reverse[i])
        _set(params, inputs, flags)
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
        kernel = scan.forward(A.shape[1], flags.masked[i], layout.ragged, layout.double)
        params.run(kernel)
    return _like(y, u), _like(ungated, u), states.view(-1)


def _backward(dy, directions, z, ungated, states, flags):
    u, _, A, B, *_ = directions[0]
    layout = _layout(u, B)
    dread = layout.token_major(dy)  # of what the states are read out to
    ungated = layout.token_major(ungated) if z is not None else ungated
    gradients = []
    states = states.view(len(directions), -1)
    for i, inputs in enumerate(directions):
        params = Params(scan.BACKWARD_FIELDS, layout, flags.reverse[i])
        _set(params, inputs, flags)
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
        masked = flags.masked[i]
        params.run(scan.backward(A.shape[1], masked, layout.ragged, layout.double))
        if i == 0 and z is not None:
            gradients.append((dz, z))
        dA, dD, dbias = (sum_first(x) for x in (dA, dD, dbias))
        gradients += zip((du, ddelta, dA, dB[0], dC[0], dD, dbias), inputs)
    return [_like(x, like) for x, like in gradients if like is not None]


def _like(x, like):
    return x if x.dtype == like.dtype else x.to(like.dtype)


def _layout(u, B):
    return Layout(u, groups=B.shape[1] if B.ndim == 4 else 1)


def _count_states(inputs):
    """Size of the states in front of each chunk of one direction."""
    layout, A = _layout(inputs.u, inputs.B), inputs.A
    chunks = (layout.length + scan.CHUNK - 1) // scan.CHUNK
    tiles = layout.batch * layout.groups * layout.tiles
    return tiles * chunks * A.shape[1] * LANES


def _set(params, inputs, flags):
    """Everything that both kernels take."""
    u, delta, A, B, C, D, delta_bias = inputs
    layout = params.layout
    params.set('delta_softplus', int(flags.delta_softplus))
    params.set('residual', int(flags.residual))
    params.weight('A', A)
    params.weight('D', D)
    params.weight('delta_bias', delta_bias)
    params.pointer('scratch', layout.scratch(3 * A.shape[1]))
    params.tokens('u', layout.token_major(u))
    params.tokens('delta', layout.token_major(delta))
    params.tokens('B', layout.token_major(B))
    params.tokens('C', layout.token_major(C))


scan_operator = ScanOperator(
    'selective_scan_llvm', ('CPU',), _forward, _backward, _count_states
)
