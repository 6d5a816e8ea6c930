"""What a selective scan is in ONNX: four ways, each a function of plain operators.

All compute the definition in ``ops/naive.py``, for tokens with channels last. They are
called with an :class:`onnxscript.OpBuilder` and write down what it records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import onnx_ir as ir
from onnxscript import build_function

DOMAIN = 'videomambapro'
MICROSOFT = 'com.microsoft'

# Bytes of the states of all chunks after a token, which three or four arrays have to
# share the second-level caches with.
_TILE_BYTES = 3 << 18
_END = (1 << 63) - 1


class Flags(NamedTuple):
    """How to scan; see ``ops.selective_scan``."""

    delta_softplus: bool
    residual: bool
    masked: bool
    reverse: bool


@dataclass(frozen=True)
class Scan:
    """A scan in the making.

    Attributes:
        op (OpBuilder): Records operators.
        u (Value): Input, (B, L, D).
        delta (Value): Step sizes before softplus, (B, L, D).
        A (Value): Decay, (D, N).
        B (Value): Input weights, (B, L, N).
        C (Value): Read-out weights, (B, L, N).
        D (Value): Skip weights, (D,).
        flags (Flags): How to scan.
        channels (int): D.
        states (int): N.
        portable (bool): Whether loops may not look at values outside.
    """

    op: Any
    u: ir.Value
    delta: ir.Value
    A: ir.Value
    B: ir.Value
    C: ir.Value
    D: ir.Value
    flags: Flags
    channels: int
    states: int
    portable: bool = False

    def first(self, x: ir.Value) -> ir.Value:
        """Of the first token in scan order, (B, 1, .)."""
        return self.op.Gather(x, [-1 if self.flags.reverse else 0], axis=1)

    def start(self) -> ir.Value:
        """The state before the first token, (B, N, D): u_0 if residual, else 0."""
        first = self.first(self.u)
        if not self.flags.residual:
            first = self.op.Mul(first, 0.0)
        shape = self.op.Concat([1], [self.states], [1], axis=0)
        return self.op.Expand(first, shape)

    def steps(self) -> ir.Value:
        """Step sizes, (B, L, D)."""
        if not self.flags.delta_softplus:
            return self.delta
        return softplus(self.op, self.delta)

    def by_state(self) -> ir.Value:
        """The decay with channels last, (N, D)."""
        return self.op.Transpose(self.A, perm=[1, 0])

    def readout(self) -> ir.Value:
        """C, of which the mask takes that of the first token, (B, L, N)."""
        op, C = self.op, self.C
        if not self.flags.masked:
            return C
        nothing = op.Mul(self.first(C), 0.0)
        if self.flags.reverse:
            return op.Concat(op.Slice(C, [0], [-1], [1]), nothing, axis=1)
        return op.Concat(nothing, op.Slice(C, [1], [_END], [1]), axis=1)

    def output(self, y: ir.Value) -> ir.Value:
        """Add the skip to what was read out, (B, L, D)."""
        return self.op.Add(y, self.op.Mul(self.D, self.u))


def linear_attention(scan: Scan) -> ir.Value:
    """One node of ONNX Runtime: channels are heads, states their keys, values scalars.

    The read-out and the input weights are shared by all heads.
    """
    attributes = dict(q_num_heads=1, _domain=MICROSOFT, _version=1)
    return _as_attention(scan, scan.readout(), scan.B, attributes)


def standard(scan: Scan) -> ir.Value:
    """One node of ONNX itself, since opset 27: every head needs weights of its own."""
    op, copies = scan.op, [1, 1, scan.channels]
    query, key = op.Tile(scan.readout(), copies), op.Tile(scan.B, copies)
    return _as_attention(scan, query, key, dict(q_num_heads=scan.channels))


def _as_attention(scan: Scan, query, key, attributes):
    op, flags, dt = scan.op, scan.flags, scan.steps()
    value = op.Mul(dt, scan.u)
    decay = op.Mul(op.Unsqueeze(dt, [3]), scan.A)  # (B, L, D, N)
    decay = op.Reshape(decay, [0, 0, -1])
    past = op.Unsqueeze(op.Transpose(scan.start(), perm=[0, 2, 1]), [3])  # (B, D, N, 1)
    tokens = query, key, value, decay
    if flags.reverse:
        tokens = tuple(_flip(op, x) for x in tokens)
    query, key, flipped, decay = tokens
    y, _ = op.LinearAttention(
        query, key, flipped, past, decay,
        update_rule='gated', scale=1.0, kv_num_heads=scan.channels, _outputs=2,
        **attributes,
    )  # fmt: skip
    y = _flip(op, y) if flags.reverse else y
    if flags.masked:  # without each token's own contribution, <C, B> dt u
        weight = op.Mul(scan.readout(), scan.B)
        weight = op.ReduceSum(weight, [2], keepdims=1)  # (B, L, 1)
        y = op.Sub(y, op.Mul(weight, value))
    return scan.output(y)


def _flip(op, x):
    return op.Slice(x, [-1], [-_END], [1], [-1])


def token_by_token(scan: Scan) -> ir.Value:
    """A ``Scan`` over the tokens, for any runtime."""
    op, dt = scan.op, scan.steps()
    tokens = (
        op.Transpose(x, perm=[1, 0, 2])  # (L, B, .)
        for x in (op.Mul(dt, scan.u), dt, scan.B, scan.readout())
    )
    _, y = _walk(scan, scan.start(), *tokens)
    return scan.output(op.Transpose(op.Squeeze(y, [2]), perm=[1, 0, 2]))


def chunked(scan: Scan) -> ir.Value:
    """Chunks of tokens side by side, which takes fewer and larger steps.

    The number of chunks depends on the size of the batch: states of all of them have to
    fit into the cache.
    """
    op, reverse = scan.op, int(scan.flags.reverse)
    batch, length = (op.Shape(scan.u, start=i, end=i + 1) for i in (0, 1))
    tile = max(1, _TILE_BYTES // (4 * scan.channels * scan.states))
    chunks = op.Min(op.Max(op.Div([tile], batch), [1]), length)  # K
    size = op.Div(op.Sub(op.Add(length, chunks), [1]), chunks)  # T
    # Token i of all chunks, (T * K, B). The last chunk to be scanned may have too few:
    # it repeats one after, where nothing comes of it.
    sizes = chunks, size, batch, length
    chunk, token, video, place = (_count(op, x) for x in sizes)
    missing = op.Sub(op.Mul(chunks, size), length) if reverse else [0]
    places = op.Add(op.Unsqueeze(token, [1]), op.Mul(chunk, size))
    places = op.Sub(op.Reshape(places, [-1, 1]), missing)
    places = op.Min(op.Max(places, [0]), op.Sub(length, [1]))
    places = op.Add(places, op.Mul(video, length))

    def split(x):
        """(B, L, F) -> (T, K * B, F)."""
        width = op.Shape(x, start=2)
        x = op.Gather(op.Reshape(x, op.Concat([-1], width, axis=0)), places)
        return op.Reshape(x, op.Concat(size, [-1], width, axis=0))

    u, dt, B, C = (split(x) for x in (scan.u, scan.steps(), scan.B, scan.readout()))

    # chunk_state: scan each chunk from 0
    states = [scan.states, scan.channels]
    nothing = op.Expand([0.0], op.Concat(op.Mul(chunks, batch), states, axis=0))
    ends, y = _walk(scan, nothing, op.Mul(dt, u), dt, B, C)

    # state_passing: from chunk to chunk
    axis = op.Constant(value_int=0)
    since = op.Unsqueeze(op.CumSum(dt, axis, reverse=reverse), [2])
    whole = op.Gather(since, op.Constant(value_int=reverse - 1))  # (K * B, 1, D)
    decay = op.Exp(op.Mul(whole, scan.by_state()))
    by_chunk = op.Concat(chunks, batch, states, axis=0)

    def pass_on(op, h, decay, end):
        return op.Add(op.Mul(decay, h), end), op.Identity(h)

    tokens = (op.Reshape(x, by_chunk) for x in (decay, ends))
    _, starts = _scan(scan, pass_on, [scan.start()], tokens)
    starts = op.Reshape(starts, op.Shape(ends))

    # chunk_scan: read out what is left of the state that a chunk starts from
    def read(op, since, C, A, starts):
        # below exp(-60) there is nothing, but slow denormal numbers
        decay = op.Exp(op.Max(op.Mul(since, A), -60.0))
        return op.MatMul(C, op.Mul(decay, starts))

    tokens = since, op.Unsqueeze(C, [2])
    y = op.Add(y, _scan(scan, read, [], tokens, [scan.by_state(), starts]))
    # and back: (T, K * B, 1, D) -> (B, L, D)
    place = op.Add(place, missing)
    back = op.Add(op.Mul(op.Mod(place, size), chunks), op.Div(place, size))
    back = op.Add(op.Mul(back, batch), op.Unsqueeze(video, [1]))
    return scan.output(op.Gather(op.Reshape(y, [-1, scan.channels]), back))


def _count(op, n):
    """0, ..., n - 1 for n of shape (1,)."""
    end = op.Squeeze(n)
    zero, one = (op.Constant(value_int=x) for x in (0, 1))
    return op.Range(zero, end, one)


def _walk(scan, start, v, dt, B, C):
    """Scan sequences side by side, (L, R, .) each, from a start (R, N, D).

    Returns:
        The last states, (R, N, D), and what is read out, (L, R, 1, D).
    """
    op = scan.op

    def step(op, h, v, dt, B, C, A):
        carried = op.Mul(op.Exp(op.Mul(dt, A)), h)
        h = op.Add(carried, op.Mul(v, B))
        return h, op.MatMul(C, carried if scan.flags.masked else h)

    # in the shapes of the products, so that a step has no operator to spare
    v, dt, C = (op.Unsqueeze(x, [2]) for x in (v, dt, C))
    tokens = v, dt, op.Unsqueeze(B, [3]), C
    return _scan(scan, step, [start], tokens, [scan.by_state()])


def softplus(op, x: ir.Value) -> ir.Value:
    """The logarithm of 1 + exp(x), of operators that are vectorised, unlike Softplus.

    Rounding 1 + exp(x) costs up to 6e-8, which is nothing beside the steps of others.
    """
    return op.Max(x, op.Log(op.Add(op.Exp(op.Min(x, 30.0)), 1.0)))


def _scan(
    scan: Scan,
    body: Callable,
    states: Iterable[ir.Value],
    tokens: Iterable[ir.Value],
    constants: Iterable[ir.Value] = (),
):
    """ONNX's ``Scan`` over the first axis: last states, then the output, of a body.

    The body takes an OpBuilder, the states, a token of each kind, and the constants. It
    looks at these from inside, which not every runtime can: portable ones are states.
    """
    op, states, tokens, constants = scan.op, [*states], [*tokens], [*constants]
    own = len(states)
    states += constants if scan.portable else []
    name = f'{body.__name__}_{op.builder.graph.num_nodes()}'

    def trace(op, *values):
        found = values[own : len(states)] if scan.portable else constants
        given = *values[:own], *values[len(states) :]
        results = body(op, *given, *found)
        results = results if isinstance(results, tuple) else (results,)
        same = [op.Identity(x) for x in values[own : len(states)]]
        return [*results[:own], *same, *results[own:]]

    def values(kind, count):
        type_ = ir.TensorType(ir.DataType.FLOAT)
        return [ir.Value(name=f'{name}.{kind}{i}', type=type_) for i in range(count)]

    op.builder.push_module(name)  # or values inside would have the names of others
    graph = op.builder.subgraph(
        trace,
        values('in', len(states) + len(tokens)),
        values('out', len(states) + 1),
        name=name,
    )
    op.builder.pop_module()
    reverse = int(scan.flags.reverse)
    found = op.Scan(
        *states, *tokens,
        body=graph,
        num_scan_inputs=len(tokens),
        scan_input_directions=[reverse] * len(tokens),
        scan_output_directions=[reverse],
        _outputs=len(states) + 1,
    )  # fmt: skip
    found = found if isinstance(found, Sequence) else [found]
    found = [*found[:own], *found[len(states) :]]
    return found if len(found) > 1 else found[0]


class Lowering(NamedTuple):
    """A way of writing the scan.

    Attributes:
        write (Callable): Takes a :class:`Scan`, returns its output (B, L, D).
        opset (int): The first version of ONNX's operators that has all of them.
    """

    write: Callable[[Scan], ir.Value]
    opset: int


LOWERINGS = {
    'chunked': Lowering(chunked, 18),
    'scan': Lowering(token_by_token, 18),
    'linear_attention': Lowering(linear_attention, 18),
    'standard': Lowering(standard, 27),
}


def scan_function(
    name: str,
    lowering: str,
    flags: Flags,
    channels: int,
    states: int,
    portable: bool = False,
) -> ir.Function:
    """Write a scan as a function that belongs to a model.

    Its inputs are those of ``ops.selective_scan`` up to ``D``, with channels last.

    Args:
        name (str): Of the function.
        lowering (str): One of the :data:`LOWERINGS`.
        flags (Flags): How to scan.
        channels (int): D.
        states (int): N.
        portable (bool): See :class:`Scan`. Defaults to False.
    """
    write, opset = LOWERINGS[lowering]
    domains = {MICROSOFT: 1} if write is linear_attention else {}

    def body(op, *inputs):
        return write(Scan(op, *inputs, flags, channels, states, portable))

    inputs = 'u', 'delta', 'A', 'B', 'C', 'D'
    return build_function(
        body,
        [ir.Value(name=x) for x in inputs],
        domain=DOMAIN,
        name=name,
        opset_imports={'': opset, **domains},
    )
