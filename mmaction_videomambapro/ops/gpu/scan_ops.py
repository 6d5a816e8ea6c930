"""Launches the scan's Triton kernels."""

from __future__ import annotations

import torch
import triton

from ..operators.scan import ScanOperator
from . import scan
from .launch import OPTIONS, array, bits, capacity, new_tokens, on_device_of

CHANNELS = scan.CHANNELS.value
CHUNK = 64  # tokens, a multiple of 4


def _forward(directions, z, flags, keep):
    u = directions[0].u
    sizes, grid = _sizes(directions[0])
    count = len(directions)
    size = count * _count_states(directions[0])
    states = u.new_empty(size, dtype=torch.float32)
    chunks = scan.Chunks(states, _new_sums(states, sizes, count))
    y = new_tokens(u)
    ungated = new_tokens(u) if keep and z is not None else None
    inputs, constants = _inputs(directions), _constants(directions, flags)
    with on_device_of(u):
        if sizes.chunks > 1:
            scan.chunk_state[grid, sizes.chunks - 1, count](
                inputs, chunks, sizes, **constants, **OPTIONS
            )
        _pass_states(inputs, chunks, sizes, grid, constants, flags)
        partial = array(y if ungated is None else ungated)
        scan.chunk_scan[grid, sizes.chunks](
            inputs,
            array(z),
            states,
            scan.Outputs(array(y), partial, array(ungated)),
            sizes,
            **constants,
            MASKED=bits(flags.masked),
            **OPTIONS,
        )
    ungated = u.new_empty(0) if ungated is None else ungated
    return y, ungated, states if keep else states.new_empty(0)


def _backward(dy, directions, z, ungated, states, flags):
    u, _, A, B, *_ = directions[0]
    sizes, grid = _sizes(directions[0])
    count, states_of_A = len(directions), A.shape[1]
    inputs, constants = _inputs(directions), _constants(directions, flags)
    dy, gate = array(dy), array(z)
    dstates = torch.empty_like(states)
    chunks = scan.Chunks(dstates, _new_sums(states, sizes, count))
    dz = None if z is None else new_tokens(z)
    outputs = [[new_tokens(d.u), new_tokens(d.delta)] for d in directions]

    # A part sums the gradients of B and C over its channels: as many as keep all busy
    batch, groups, length = len(u), sizes.groups, sizes.length
    items = sizes.rows * sizes.chunks * count
    tiles = sizes.padded // CHANNELS
    parts = min(triton.cdiv(2 * capacity(u), items), tiles)
    programs = min(parts * items, capacity(u))
    shape = parts, count, 2, batch, groups, length, states_of_A
    dB_and_dC = states.new_empty(shape)
    for direction, arrays in zip(dB_and_dC[0], outputs):
        arrays += [x.mT for x in direction]
    dA = torch.empty_like(states)
    dD, dbias = (_new_sums(states, sizes, count) for _ in range(2))
    scratch = states.new_empty(programs, sizes.chunk // 4, states_of_A * CHANNELS)

    with on_device_of(u):
        turned = flags._replace(residual=False, reverse=[not x for x in flags.reverse])
        if sizes.chunks > 1:
            scan.chunk_scan_bwd_dstates[grid, sizes.chunks - 1, count](
                inputs, gate, dy, chunks, sizes, **constants, **OPTIONS
            )
        _pass_states(inputs, chunks, sizes, grid, constants, turned)
        scan.chunk_scan_bwd[(programs,)](
            inputs,
            scan.Shared(gate, dy, None if z is None else array(ungated), array(dz)),
            states,
            dstates,
            scratch,
            tuple(scan.Gradients(*map(array, x)) for x in outputs),
            scan.Sums(dA, dD, dbias),
            sizes,
            parts,
            dB_and_dC.stride(0),
            **constants,
            RESIDUAL=flags.residual,
            MASKED=bits(flags.masked),
            **OPTIONS,
        )

    found = [] if z is None else [(dz, z)]
    dA = dA.view(*dD.shape[:-1], states_of_A, -1)
    for i, inputs in enumerate(directions):
        dB, dC = (x.sum(0).mT.view_as(B) for x in dB_and_dC[:, i].unbind(1))
        weights = dA[i], dD[i][:, :, None], dbias[i][:, :, None]
        dA_i, dD_i, dbias_i = (_sum_chunks(x, sizes) for x in weights)
        du, ddelta, *_ = outputs[i]
        found += zip((du, ddelta, dA_i, dB, dC, dD_i[:, 0], dbias_i[:, 0]), inputs)
    return [x.to(like.dtype) for x, like in found if like is not None]


def _pass_states(inputs, chunks, sizes, grid, constants, flags):
    """From chunk to chunk, in the order that flags say."""
    scan.state_passing[grid, 1, constants['COUNT']](
        inputs,
        chunks,
        sizes,
        **{name: constants[name] for name in ('N', 'STATES', 'COUNT')},
        RESIDUAL=flags.residual,
        REVERSE=bits(flags.reverse),
        **OPTIONS,
    )


def _sizes(inputs):
    """Sizes, and how many programs it takes for all channels."""
    batch, channels, length = inputs.u.shape
    groups = inputs.B.shape[1] if inputs.B.ndim == 4 else 1
    channels //= groups
    tiles = triton.cdiv(channels, CHANNELS)
    chunks = triton.cdiv(length, CHUNK)
    rows = batch * groups
    padded = tiles * CHANNELS
    sizes = scan.Sizes(rows, groups, channels, padded, length, CHUNK, chunks)
    return sizes, rows * tiles


def _new_sums(states, sizes, count):
    return states.new_empty(count, sizes.rows, sizes.chunks, sizes.padded)


def _count_states(inputs):
    sizes, _ = _sizes(inputs)
    return sizes.rows * sizes.chunks * sizes.padded * inputs.A.shape[1]


def _inputs(directions):
    def with_groups(x):
        return x if x.ndim == 4 else x[:, None]

    return tuple(
        scan.Direction(
            array(u),
            array(delta),
            array(with_groups(B)),
            array(with_groups(C)),
            *(x if x is None else x.contiguous() for x in (A, D, delta_bias)),
        )
        for u, delta, A, B, C, D, delta_bias in directions
    )


def _constants(directions, flags):
    N = directions[0].A.shape[1]
    return dict(
        N=N,
        STATES=triton.next_power_of_2(N),
        COUNT=len(directions),
        SOFTPLUS=flags.delta_softplus,
        REVERSE=bits(flags.reverse),
    )


def _sum_chunks(x, sizes):
    """Over clips and chunks: (B * G, chunks, n, padded) -> (D, n)."""
    x = x.unflatten(0, (-1, sizes.groups)).sum((0, 2))[..., : sizes.channels]
    return x.mT.reshape(-1, x.shape[1]).contiguous()


scan_operator = ScanOperator(
    'selective_scan_triton', ('CPU', 'CUDA'), _forward, _backward, _count_states
)
