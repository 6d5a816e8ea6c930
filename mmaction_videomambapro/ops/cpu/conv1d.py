"""The depth-wise causal convolution with SiLU as two kernels, forward and backward.

Tasks, chunks and tiles are those of the scan. Nothing is carried from chunk to
chunk: the few tokens on the other side of the border are read, or worked out, twice.
"""

from __future__ import annotations

from functools import lru_cache

from .compiler import this_cpu
from .functions import sigmoid
from .lanes import Kernel
from .tiles import TASK_FIELDS, Table, Task, Tile, array_fields

CHUNK = 64  # tokens

_COMMON = *TASK_FIELDS, 'weight', 'bias', 'scratch'
FORWARD_FIELDS = _COMMON + array_fields('x', 'y')
BACKWARD_FIELDS = *_COMMON, 'dweight', 'dbias', *array_fields('x', 'dy', 'dx')


@lru_cache
def forward(taps: int, silu: bool, ragged: bool, double: bool) -> int:
    """Compile the forward kernel.

    Args:
        taps (int): Width K of the convolution.
        silu (bool): Whether SiLU follows.
        ragged (bool): Whether the channels are not a multiple of LANES.
        double (bool): float64 instead of float32.

    Returns:
        int: Its address; it takes the address of its FORWARD_FIELDS.
    """
    cpu = this_cpu()
    k = Kernel('conv1d_forward', FORWARD_FIELDS, double, cpu.features)
    with k.parallel_loop(k.counter, k.tasks) as index:
        task = Task(k, index, CHUNK)
        with k.loop(task.chunks) as chunk, k.loop(task.tiles) as i:
            tile = Tile(task, chunk, i, ragged, rows=2 * taps)
            weight, bias = _weights(tile, chunk, taps)
            with k.loop(tile.count) as t:
                y = _convolve(tile, t, weight, bias)
                tile.store('y', t, y * sigmoid(y) if silu else y)
    return cpu.compile(k)


@lru_cache
def backward(taps: int, silu: bool, ragged: bool, double: bool) -> int:
    """Compile the backward kernel; arguments and result are those of forward."""
    cpu = this_cpu()
    k = Kernel('conv1d_backward', BACKWARD_FIELDS, double, cpu.features)
    # gradients before SiLU, of the chunk's tokens and the later ones that read them
    rows = Table(k, CHUNK + taps - 1, 'ds')
    dweight, dbias = [k.variable(0) for _ in range(taps)], k.variable(0)

    with k.parallel_loop(k.counter, k.tasks) as index:
        task = Task(k, index, CHUNK)
        with k.loop(task.chunks) as chunk, k.loop(task.tiles) as i:
            tile = Tile(task, chunk, i, ragged, rows=2 * taps)
            weight, bias = _weights(tile, chunk, taps)
            with k.loop(tile.count + (taps - 1)) as t:
                rows.set(t, ds=k.lanes(0))
                with k.if_then((tile.start + t).is_less(k.length)):
                    ds = tile.load('dy', t)
                    if silu:
                        y = _convolve(tile, t, weight, bias)
                        s = sigmoid(y)
                        ds = ds * (y * s).fma(k.lanes(1) - s, s)
                    rows.set(t, ds=ds)

            sums = [*dweight, dbias]
            dweight_rows = tile.scratch + taps * k.size
            before = tile.load_rows(dweight_rows, k.int(0), taps)
            place = tile.sum_weight('dbias')
            for x, value in zip(sums, [*before, k.load(place, tile.mask)]):
                x.set(k.select(chunk.is_(0), 0, value))
            with k.loop(tile.count) as t:
                (ds,) = rows.get(t, 'ds')
                dbias.set(dbias.get() + ds)
                dx = k.lanes(0)
                for tap in range(taps):
                    back = taps - 1 - tap  # the last tap meets the current token
                    x = _earlier(tile, t, back)
                    dweight[tap].set(ds.fma(x, dweight[tap].get()))
                    dx = weight[tap].fma(*rows.get(t + back, 'ds'), dx)
                tile.store('dx', t, dx)
            tile.store_rows(dweight_rows, k.int(0), dweight)
            k.store(place, dbias.get(), tile.mask)
            with k.if_then(chunk.is_(task.chunks - 1)):
                tile.store_weights('dweight', taps, dweight_rows)
    return cpu.compile(k)


def _weights(tile, chunk, taps):
    with tile.k.if_then(chunk.is_(0)):
        tile.weights('weight', taps, tile.scratch)
    return tile.load_rows(tile.scratch, tile.k.int(0), taps), tile.weight('bias')


def _convolve(tile, t, weight, bias):
    y = bias
    for tap, w in enumerate(weight):
        y = w.fma(_earlier(tile, t, len(weight) - 1 - tap), y)
    return y


def _earlier(tile, t, back):
    """The token ``back`` places before the t-th, 0 in front of the first."""
    if back == 0:
        return tile.load('x', t)
    k = tile.k
    outside = (tile.start + t).is_less(back)
    place = k.choose(outside, tile.at('x', t), tile.at('x', t - back))
    return k.select(outside, 0, k.load(place, tile.mask))
