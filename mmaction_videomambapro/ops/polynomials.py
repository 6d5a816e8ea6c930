"""Polynomials that approximate, interpolated at Chebyshev points."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial


@lru_cache
def exp2_coefficients(degree: int, limit: float) -> tuple[float, ...]:
    """2 ** r for r within the limit, and exactly 1 for r = 0: long sequences add up.

    The coefficient of the highest power comes first, as in the others.
    """

    def slope(r):
        safe = np.where(r == 0, 1, r)
        return np.where(r == 0, math.log(2), np.expm1(safe * math.log(2)) / safe)

    return *_interpolate(slope, degree - 1, -limit, limit), 1.0


@lru_cache
def log1p_coefficients(degree: int) -> tuple[float, ...]:
    """log1p(e) / e for e in [0, 1]."""
    return _interpolate(lambda e: np.log1p(e) / e, degree, 0, 1)


def _interpolate(function, degree, low, high):
    fit = Chebyshev.interpolate(function, degree, (low, high))
    return tuple(fit.convert(kind=Polynomial).coef[::-1])
