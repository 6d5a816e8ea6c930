"""The scan's kernels as PyTorch operators, with fakes and gradients.

An operator takes a list for every input, with one entry for each direction, and
gives the gated sum of their scans: the directions share the gate and one output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from . import scan
from .jit import LANES
from .threads import run

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
    sizes = _Sizes(u[0], A[0], B[0])
    y = sizes.new_tokens()
    states = sizes.new(sizes.num_states * len(u) if keep else 0)
    ungated = sizes.new_tokens() if keep and z is not None else y.new_empty(0)
    total = ungated if ungated.numel() else y  # of the directions so far
    for i, kept in enumerate(states.chunk(len(u))):
        inputs = (x[i] if x else None for x in (u, delta, A, B, C, D, delta_bias))
        params = _Params(sizes, *inputs, delta_softplus, residual, reverse[i])
        last = i == len(u) - 1
        if keep:
            params.pointer('states', kept)
        if i > 0:
            params.tokens('add', total)
        if last and z is not None:
            params.tokens('z', _tokens(sizes, z))
            if keep:
                params.tokens('ungated', ungated)
        params.tokens('y', y if last else total)
        kernel = scan.forward(sizes.states, masked[i], sizes.ragged, sizes.double)
        run(kernel, params, scan.FORWARD_FIELDS)
    return y.mT.to(u[0].dtype), ungated, states


@selective_scan.register_fake
def _(u, delta, A, B, C, D, delta_bias, z, softplus, residual, masked, reverse, keep):
    sizes = _Sizes(u[0], A[0], B[0])
    y = sizes.new_tokens(u[0].device)
    states = sizes.new(sizes.num_states * len(u) if keep else 0, device=y.device)
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
    sizes = _Sizes(u[0], A[0], B[0])
    dy = _tokens(sizes, dy)
    dz = None if z is None else sizes.new_tokens()
    dread = sizes.new_tokens() if z is not None and len(u) > 1 else None
    gradients = []
    for i, kept in enumerate(states.chunk(len(u))):
        inputs = [x[i] if x else None for x in (u, delta, A, B, C, D, delta_bias)]
        params = _Params(sizes, *inputs, delta_softplus, residual, reverse[i])
        params.pointer('states', kept)
        # the first direction takes the gate back, for the others too
        params.tokens('dy', dy if i == 0 or z is None else dread)
        if i == 0 and z is not None:
            params.tokens('z', _tokens(sizes, z))
            params.tokens('ungated', ungated)
            params.tokens('dz', dz)
            if dread is not None:
                params.tokens('dadd', dread)
        du, ddelta = sizes.new_tokens(), sizes.new_tokens()
        params.tokens('du', du)
        params.tokens('ddelta', ddelta)
        # B and C are shared by channels: a sum for each task that sees some of them
        shape = params['parts'], sizes.batch, sizes.groups, sizes.length, sizes.states
        dB, dC = (sizes.new(*shape) for _ in range(2))
        for name, x in dict(dB=dB, dC=dC).items():
            params.tokens(name, x[0])
            params[f'{name}_part'] = x.stride(0) * x.element_size()
        # and A, D, delta_bias by clips
        tiles = sizes.batch, sizes.groups * sizes.tiles
        dA = sizes.new(*tiles, sizes.states, LANES)
        dD, dbias = (sizes.new(*tiles, LANES) for _ in range(2))
        for name, x in dict(dA=dA, dD=dD, ddelta_bias=dbias).items():
            params.pointer(name, x)
        kernel = scan.backward(sizes.states, masked[i], sizes.ragged, sizes.double)
        run(kernel, params, scan.BACKWARD_FIELDS)
        found = [
            *(du.mT, ddelta.mT, _by_channel(sizes, dA)),
            *(x.sum(0).mT.reshape(like.shape) for x, like in zip((dB, dC), inputs[3:])),
            *(_by_channel(sizes, x[:, :, None])[:, 0] for x in (dD, dbias)),
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


class _Sizes:
    """Sizes of one call, and new memory for it."""

    def __init__(self, u: Tensor, A: Tensor, B: Tensor) -> None:
        self.batch, self.channels, self.length = u.shape
        self.states = A.shape[1]
        self.groups = B.shape[1] if B.ndim == 4 else 1
        self.per_group = self.channels // self.groups
        self.tiles = -(-self.per_group // LANES)  # of a group
        self.ragged = self.per_group % LANES != 0
        self.double = u.dtype == torch.float64
        self.dtype = torch.float64 if self.double else torch.float32
        chunks = (self.length + scan.CHUNK - 1) // scan.CHUNK
        tiles = self.batch * self.groups * self.tiles
        self.num_states = tiles * chunks * self.states * LANES

    def new(self, *shape: int, device=None) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=device)

    def new_tokens(self, device=None) -> Tensor:
        return self.new(self.batch, self.length, self.channels, device=device)


class _Params(dict):
    """What a kernel is told, and the tensors it must find alive."""

    def __init__(
        self,
        sizes: _Sizes,
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None,
        delta_bias: Tensor | None,
        delta_softplus: bool,
        residual: bool,
        reverse: bool,
    ) -> None:
        rows = sizes.batch * sizes.groups
        parts = _parts(rows, sizes.tiles)
        super().__init__(
            tasks=rows * parts,
            parts=parts,
            groups=sizes.groups,
            tiles=sizes.tiles,
            channels=sizes.per_group,
            length=sizes.length,
            delta_softplus=int(delta_softplus),
            residual=int(residual),
        )
        self.sizes, self.reverse, self.alive = sizes, reverse, []
        self.pointer('A', _by_tile(sizes, A.to(sizes.dtype) * math.log2(math.e)))
        self.pointer('D', _by_tile(sizes, D))
        self.pointer('delta_bias', _by_tile(sizes, delta_bias))
        self.pointer('scratch', sizes.new(rows * sizes.tiles * sizes.states * LANES))
        for name, x in dict(u=u, delta=delta, B=B, C=C).items():
            self.tokens(name, _tokens(sizes, x))

    def pointer(self, name: str, x: Tensor) -> None:
        self.alive.append(x)
        self[name] = x.data_ptr()

    def tokens(self, name: str, x: Tensor) -> None:
        """(B, L, D), or (B, L, N) or (B, G, L, N), the last one without gaps."""
        self.pointer(name, x)
        item, step = x.element_size(), x.stride()
        token = step[-2] * item
        if self.reverse:
            self[name] += (self.sizes.length - 1) * token
            token = -token
        self[f'{name}_batch'] = step[0] * item
        self[f'{name}_group'] = (step[1] if x.ndim > 3 else self.sizes.per_group) * item
        self[f'{name}_token'] = token


def _parts(rows, tiles):
    """Into how many tasks to split the tiles of a clip, so that threads share them.

    Few, because each task sums the gradients of B and C on its own.
    """
    threads = torch.get_num_threads()
    for parts in range(1, tiles):
        if rows * parts % threads == 0 or rows * parts >= 4 * threads:
            return parts
    return tiles


def _tokens(sizes, x):
    """(..., D, L) -> (..., L, D), copied only if a token's numbers have gaps."""
    x = x.mT.to(sizes.dtype)
    return x if x.stride(-1) == 1 else x.contiguous()


def _by_tile(sizes, x):
    """(D,) or (D, N) -> (G * tiles, LANES) or (G * tiles, N, LANES), padded with 0."""
    tiles = sizes.groups * sizes.tiles
    if x is None:
        return torch.zeros(tiles, LANES, dtype=sizes.dtype)
    x = x.to(sizes.dtype)
    if sizes.ragged:
        x = x.view(sizes.groups, sizes.per_group, -1)
        x = F.pad(x, (0, 0, 0, sizes.tiles * LANES - sizes.per_group))
    return x.reshape(tiles, LANES, -1).mT.contiguous()


def _by_channel(sizes, x):
    """(B, G * tiles, N, LANES) -> (D, N), summed over clips."""
    x = x.sum(0).mT.reshape(sizes.groups, sizes.tiles * LANES, -1)
    return x[:, : sizes.per_group].reshape(sizes.channels, -1)
