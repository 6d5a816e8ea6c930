"""Launches the scan's Triton kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import triton
from torch import Tensor
from torch.nn import functional as F

from ..operators.scan import ScanFlags, ScanInputs, ScanOperator
from . import forward, interleave, scan, segments
from .arguments import Array, Direction, Fixed, Outputs, Sizes, States
from .launch import (
    OPTIONS,
    array,
    bits,
    capacity,
    dense,
    new_tokens,
    on_device_of,
    processors,
    registers,
)
from .plan import Work, plan_forward
from .tiles import MARGIN

CHANNELS = scan.CHANNELS.value
CHUNK = 64  # tokens, a multiple of 4


class Scan:
    """What the launches of a scan have in common.

    Args:
        directions (list[ScanInputs]): One or two.
        z (Tensor, optional): The gate.
        flags (ScanFlags): As for :class:`ScanOperator`.
        plan (Callable): :func:`plan_forward` or :func:`plan_backward`.
        most_registers (int): For a kernel with up to 8 states per lane.
    """

    def __init__(
        self,
        directions: Sequence[ScanInputs],
        z: Tensor | None,
        flags: ScanFlags,
        plan: Callable,
        most_registers: int,
    ) -> None:
        self.work = work = _work(directions)
        self.plan = plan = plan(work, processors(directions[0].u))
        width = 8 * plan.Q * plan.W
        self.tiles = triton.cdiv(work.channels, width)
        per = triton.cdiv(work.chunks, plan.segments)
        self.sizes = Sizes(
            rows=work.rows,
            groups=work.rows // len(directions[0].u),
            channels=work.channels,
            length=work.length,
            chunks=work.chunks,
            segments=triton.cdiv(work.chunks, per),
            per=per,
        )
        us, deltas = (_alike([d[i] for d in directions]) for i in range(2))
        z = None if z is None else _alike([z])[0]
        self.fixed = Fixed(
            N=directions[0].A.shape[1],
            R=work.R,
            Q=plan.Q,
            W=plan.W,
            FOURS=plan.FOURS,
            EVEN=work.channels % width == 0,
            CHUNK=CHUNK,
            U_STEP=us[0].stride(2),
            DELTA_STEP=deltas[0].stride(2),
            Z_STEP=0 if z is None else z.stride(2),
            STEP=us[0].shape[1],
            COUNT=work.directions,
            SOFTPLUS=flags.delta_softplus,
            RESIDUAL=flags.residual,
            REVERSE=tuple(map(bool, flags.reverse)),
            MASKED=tuple(map(bool, flags.masked)),
        )
        self.inputs = tuple(
            Direction(
                Array(u, u.stride(0)),
                Array(delta, delta.stride(0)),
                *(None if x is None else x.contiguous() for x in (d.A, *d[5:])),
            )
            for u, delta, d in zip(us, deltas, directions)
        )
        self.z = None if z is None else Array(z, z.stride(0))
        self.options = dict(OPTIONS, num_warps=plan.W)
        if work.R * plan.Q <= 8:
            self.options |= registers(most_registers)

    def launch(self, kernel, parts: int, *args, **constants) -> None:
        """Launch a kernel of so many programs for each tile and direction."""
        grid = self.tiles * self.sizes.rows, parts, self.fixed.COUNT
        kernel[grid](
            self.inputs, *args, self.sizes, self.fixed, **constants, **self.options
        )

    def pass_states(
        self, states: Tensor, dt_sums: Tensor, slots: int, back: bool
    ) -> None:
        """From segment to segment."""
        size = 4 * self.fixed.R * self.sizes.channels
        blocks = triton.cdiv(size, segments.BLOCK.value)
        segments.state_passing[self.sizes.rows * blocks, 1, self.fixed.COUNT](
            self.inputs,
            states,
            dt_sums,
            self.sizes,
            slots,
            self.fixed,
            BACK=back,
            **OPTIONS,
        )

    def interleave(self, directions: Sequence[ScanInputs]) -> Tensor:
        """B and C as the kernels read them."""
        rows, length = self.sizes.rows, self.sizes.length + 2 * MARGIN.value
        shape = self.fixed.COUNT, rows, length, 2, 4 * self.fixed.R
        BC = directions[0].u.new_empty(shape, dtype=torch.float32)
        blocks = triton.cdiv(length * 8 * self.fixed.R, interleave.BLOCK.value)
        interleave.interleave[rows, blocks, self.fixed.COUNT](
            tuple(_states(x) for d in directions for x in (d.B, d.C)),
            BC,
            self.sizes.groups,
            self.sizes.length,
            self.fixed,
            **OPTIONS,
        )
        return BC

    def new_sums(self, *shape: int) -> Tensor:
        """Empty, for each direction, row and segment."""
        sizes = self.sizes
        before = self.fixed.COUNT, sizes.rows, sizes.segments
        u = self.inputs[0].u.data
        return u.new_empty((*before, *shape), dtype=torch.float32)


def _forward(directions, z, flags, keep):
    u = directions[0].u
    count = len(directions)
    size = count * _count_states(directions[0])
    states = u.new_empty(size, dtype=torch.float32)
    y = new_tokens(u)
    ungated = new_tokens(u) if keep and z is not None else None
    with on_device_of(u):
        scan = Scan(directions, z, flags, plan_forward, most_registers=80)
        sizes = scan.sizes
        BC = scan.interleave(directions)
        at_once = scan.plan.segments > count  # more than one of each in a launch
        if at_once:
            dt_sums = scan.new_sums(sizes.channels)
            before = sizes.segments - 1
            scan.launch(segments.chunk_state, before, BC, states, dt_sums)
            scan.pass_states(states, dt_sums, sizes.chunks, back=False)
        outputs = Outputs(y, y if ungated is None else ungated, ungated)
        for final in (False, True)[-count:]:
            scan.launch(
                forward.chunk_scan,
                triton.cdiv(sizes.segments, count),
                BC,
                scan.z,
                outputs,
                states,
                FINAL=final,
                KEEP=keep,
                HAND_ON=not final and not at_once,
            )
    ungated = u.new_empty(0) if ungated is None else ungated
    return y, ungated, states if keep else states.new_empty(0)


def _work(directions):
    u, _, A, B, *_ = directions[0]
    batch, channels, length = u.shape
    groups = B.shape[1] if B.ndim == 4 else 1
    chunks = triton.cdiv(length, CHUNK)
    R = max(1, triton.next_power_of_2(A.shape[1]) // 4)
    rows, channels = batch * groups, channels // groups
    return Work(rows, channels, length, chunks, len(directions), R)


def _count_states(inputs):
    work = _work([inputs])
    return work.rows * work.chunks * 4 * work.R * work.channels


def _alike(tensors):
    """Channels side by side, and the same step from token to token; or copies."""
    if {x.stride()[1:] for x in tensors} == {(1, tensors[0].stride(2))}:
        return tensors
    return [dense(x) for x in tensors]


def _states(x):
    """B or C, (B, N, L) or (B, G, N, L), as kernels take it."""
    if x.ndim == 3:
        x = x[:, None]
    batch, group, state, token = x.stride()
    return States(x, batch, group, token, state)


def _backward(dy, directions, z, ungated, states, flags):
    u, _, A, B, *_ = directions[0]
    sizes, grid = _old_sizes(directions[0])
    count, states_of_A = len(directions), A.shape[1]
    inputs, constants = _inputs(directions), _constants(directions, flags)
    dy, gate = array(dy), array(z)
    states = _as_old_states(states, sizes, count, states_of_A)
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
        _old_pass_states(inputs, chunks, sizes, grid, constants, turned)
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


def _old_pass_states(inputs, chunks, sizes, grid, constants, flags):
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


def _old_sizes(inputs):
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


def _as_old_states(states, sizes, count, N):
    channels = sizes.channels
    x = states.view(count, sizes.rows, sizes.chunks, 4, channels, -1)
    x = x.transpose(4, 5).flatten(3, 4)[..., :N, :]
    return F.pad(x, (0, sizes.padded - channels)).contiguous()


scan_operator = ScanOperator(
    'selective_scan_triton', ('CPU', 'CUDA'), _forward, _backward, _count_states
)
