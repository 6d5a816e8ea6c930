"""What the scan's kernels are given. Names in capitals are known to the compiler."""

from __future__ import annotations

from typing import Any, NamedTuple


class Array(NamedTuple):
    """(B, L, D); the step from a token to the next is in :class:`Fixed`."""

    data: Any
    batch: int  # from a clip to the next


class States(NamedTuple):
    """B or C, (B, G, L, N), and its steps."""

    data: Any
    batch: int
    group: int
    token: int
    state: int


class Direction(NamedTuple):
    """One direction's inputs but B and C; D and bias are (D,) or None, A is (D, N)."""

    u: Array
    delta: Array
    A: Any
    D: Any
    bias: Any


class Outputs(NamedTuple):
    """Where ``chunk_scan`` stores, (B, L, D)."""

    y: Any
    partial: Any  # one direction's, may share memory with the others
    ungated: Any  # or None


class Shared(NamedTuple):
    """What directions share in backward, (B, L, D). Without a gate, dy alone."""

    z: Array
    dy: Any
    ungated: Any
    dz: Any


class Gradients(NamedTuple):
    """Of one direction's tokens, (B, L, D)."""

    du: Any
    ddelta: Any


class Sums(NamedTuple):
    """Sums of gradients over the channels of a tile, or the tokens of a segment."""

    dBC: Any  # (tiles, directions, rows, L, 2, 4 * R)
    dA: Any  # (directions, rows, segments, 4, channels, R)
    dD: Any  # (directions, rows, segments, channels)
    dbias: Any  # the same


class Sizes(NamedTuple):
    """``channels`` are those of a group; rows are B * G.

    A sequence consists of chunks, in front of which states are kept, and of segments,
    which are scanned side by side: ``per`` chunks each. The last may be shorter.
    """

    rows: int
    groups: int
    channels: int
    length: int
    chunks: int
    segments: int
    per: int


class Fixed(NamedTuple):
    """What the compiler knows; the letters are explained in ``tiles``."""

    N: int  # states of a channel
    R: int  # a power of 2, at least N / 4
    Q: int
    W: int
    FOURS: int  # a turn of a loop takes this many times four tokens
    EVEN: bool  # all tiles are full of channels
    CHUNK: int  # tokens, a multiple of 4
    U_STEP: int  # from a token to the next
    DELTA_STEP: int
    Z_STEP: int
    STEP: int  # of arrays that have no gaps: all others
    COUNT: int  # directions
    SOFTPLUS: bool
    RESIDUAL: bool
    REVERSE: tuple[bool, ...]  # for each direction
    MASKED: tuple[bool, ...]
