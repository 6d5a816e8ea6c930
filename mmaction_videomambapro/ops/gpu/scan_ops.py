"""Launches the scan's Triton kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import triton
from torch import Tensor

from ..operators.scan import ScanFlags, ScanInputs, ScanOperator
from . import backward, forward, interleave, segments
from .arguments import (
    Array,
    Direction,
    Fixed,
    Gradients,
    Outputs,
    Shared,
    Sizes,
    States,
    Sums,
)
from .launch import (
    OPTIONS,
    dense,
    new_tokens,
    on_device_of,
    processors,
    registers,
)
from .plan import Work, plan_backward, plan_forward
from .tiles import MARGIN

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
        at_once = sizes.segments > count  # more than one of each in a launch
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
    count = len(directions)
    dz = None if z is None else new_tokens(z)
    gradients = [Gradients(new_tokens(d.u), new_tokens(d.delta)) for d in directions]
    dBs_and_dCs = [_new_states(x) for d in directions for x in (d.B, d.C)]
    with on_device_of(dy):
        scan = Scan(directions, z, flags, plan_backward, most_registers=168)
        sizes, fixed, plan = scan.sizes, scan.fixed, scan.plan
        BC = scan.interleave(directions)
        shared = Shared(scan.z, dense(dy), ungated, dz)
        dA = scan.new_sums(4, sizes.channels, fixed.R)
        weights = [scan.new_sums(sizes.channels) for _ in range(2)]
        shape = scan.tiles, count, sizes.rows, sizes.length, 2, 4 * fixed.R
        dBC = states.new_empty(shape)
        programs = scan.tiles * sizes.rows * sizes.segments * count
        tile = 32 * plan.Q * plan.W * fixed.R
        scratch = states.new_empty(programs, CHUNK // 4, tile)
        dstates = None
        if sizes.segments > 1:
            dstates, dt_sums = torch.empty_like(dA), scan.new_sums(sizes.channels)
            scan.launch(
                segments.chunk_scan_bwd_dstates,
                sizes.segments - 1,
                BC,
                scan.z,
                shared.dy,
                dstates,
                dt_sums,
            )
            scan.pass_states(dstates, dt_sums, sizes.segments, back=True)
        scan.launch(
            backward.chunk_scan_bwd,
            sizes.segments,
            BC,
            shared,
            states,
            dstates,
            scratch,
            tuple(gradients),
            Sums(dBC, dA, *weights),
        )
        tokens = sizes.rows * sizes.length
        blocks = triton.cdiv(tokens * fixed.N, interleave.BLOCK.value)
        interleave.separate[blocks, 2, count](
            dBC,
            tuple(dBs_and_dCs),
            scan.tiles,
            tokens,
            sizes.length,
            fixed,
            **OPTIONS,
        )

    found = [] if z is None else [(dz, z)]
    for i, inputs in enumerate(directions):
        dD, dbias = (_over_sequences(x[i], sizes) for x in weights)
        dA_i = _over_sequences(dA[i].transpose(2, 3), sizes).flatten(1)
        own = *gradients[i], dA_i[:, : fixed.N].contiguous(), *dBs_and_dCs[2 * i :][:2]
        found += zip((*own, dD, dbias), inputs)
    return [x.to(like.dtype) for x, like in found if like is not None]


def _over_sequences(x, sizes):
    """(rows, segments, channels, ...) -> (D, ...)"""
    return x.unflatten(0, (-1, sizes.groups)).sum((0, 2)).flatten(0, 1)


def _new_states(like):
    """Empty, with the states of a token side by side."""
    return torch.empty_like(like.mT, memory_format=torch.contiguous_format).mT


scan_operator = ScanOperator(
    'selective_scan_triton', ('CPU', 'CUDA'), _forward, _backward, _count_states
)
