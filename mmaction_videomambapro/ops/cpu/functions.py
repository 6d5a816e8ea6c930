"""Elementary functions over lanes, accurate to about one unit in the last place."""

from __future__ import annotations

import math

from llvmlite import ir

from ..polynomials import exp2_coefficients, log1p_coefficients
from .lanes import LANES, Lanes

LOG2_E = math.log2(math.e)


def exp2(
    x: Lanes, y: Lanes | float, in_range: bool, large_table: bool = False
) -> Lanes:
    """2 ** (x * y), the product unrounded.

    With n the multiple of 1 / steps next to x * y and r the rest, it is the product
    of 2 ** n, an exponent and an entry of a table, and 2 ** r, a polynomial. Adding
    1.5 * 2 ** mantissa / steps rounds to n and leaves it in the lowest bits.

    Args:
        x (Lanes): One factor of the exponent.
        y (Lanes | float): The other.
        in_range (bool): Whether :func:`is_in_range` holds, so that integer operations
            can do what would take the multipliers, which limit the speed.
        large_table (bool): Take one register more for the table, and one
            multiplication less. Defaults to False.
    """
    kernel = x.kernel
    mantissa, bias = (52, 1023) if kernel.double else (23, 127)
    steps = 1
    if in_range and kernel.has_permute:
        steps = 2 * LANES if large_table else LANES
    magic = 1.5 * 2**mantissa / steps
    y = kernel.lanes(y)
    if in_range:
        rounded = x.fma(y, magic)
        r = x.fma(y, -(rounded - magic))
    else:
        product = (x * y).min(bias + 1.0)  # infinity from there on
        rounded = product + magic
        r = product - (rounded - magic)
    degree = 11 if kernel.double else {1: 5, LANES: 3, 2 * LANES: 2}[steps]
    p = _polynomial(r, exp2_coefficients(degree, 0.5 / steps))

    if not in_range:
        scaled = (p.bits() + (rounded.bits() << mantissa)).lanes()
        return kernel.select(kernel.less(product, 1.0 - bias), 0, scaled)
    # below the smallest number the exponent turns negative, as an integer
    n = rounded.bits().max(kernel.float_bits(magic) - (bias + 1) * steps)
    if steps == 1:
        return (p.bits() + (n << mantissa)).max(0).lanes()
    shift = mantissa - int(math.log2(steps))
    powers = [kernel.float_bits(2 ** (j / steps)) - (j << shift) for j in range(steps)]
    return (kernel.permute(powers, n) + (n << shift)).max(0).lanes() * p


def is_in_range(x: Lanes, ys: list[Lanes], no_x_negative: ir.Value) -> ir.Value:
    """Whether ``exp2(x, y, in_range=True)`` holds for all y.

    Args:
        x (Lanes): The largest absolute value of the factor, in each lane.
        ys (list[Lanes]): The other factors.
        no_x_negative (ir.Value): Whether the first factor never is.
    """
    kernel, builder = x.kernel, x.kernel.builder
    highest, steepest = ys[0].bits(), abs(ys[0]).bits()
    for y in ys[1:]:
        highest, steepest = highest.max(y.bits()), steepest.max(abs(y).bits())
    # bits of positive numbers are ordered like them, a NaN is above all
    product = abs(x * steepest.lanes()).bits().reduce_max()
    none_positive = builder.icmp_signed('<=', highest.reduce_max(), product.type(0))
    shrinks = builder.and_(none_positive, no_x_negative)
    limit = (kernel.float_bits(bound) for bound in (2.0**17, 126.0))
    limit = builder.select(shrinks, *(product.type(bound) for bound in limit))
    return builder.icmp_signed('<', product, limit)


def softplus(x: Lanes) -> tuple[Lanes, Lanes]:
    """log(1 + e^x), and its derivative, the sigmoid of x."""
    kernel = x.kernel
    e = _exp_of_minus_abs(x)
    log1p_over_e = _polynomial(e, log1p_coefficients(22 if kernel.double else 8))
    relu = kernel.select(kernel.less(x, 0), 0, x)
    return log1p_over_e.fma(e, relu), _sigmoid(x, e)


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + e^-x)."""
    return _sigmoid(x, _exp_of_minus_abs(x))


def _exp_of_minus_abs(x):
    """e^-|x|: in [0, 1], nothing overflows. The same for all |x| >= 1000, zero."""
    limited = abs(x).bits().min(x.kernel.float_bits(1000.0)).lanes()
    return exp2(limited, -LOG2_E, in_range=True)


def _sigmoid(x, e):
    return x.kernel.select(x.kernel.less(x, 0), e, 1) / (e + 1)


def _polynomial(x, coefficients):
    """Horner's rule, the coefficient of the highest power first."""
    kernel = x.kernel
    value = kernel.lanes(coefficients[0])
    for c in coefficients[1:]:
        value = value.fma(x, c)
    return value
