"""Tables, and how numbers stand in their cells."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from entries import Result
from intervals import Estimate, spread


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, empty if it has no rows."""
    lines = [f'| {" | ".join(row)} |' for row in rows]
    if not lines:
        return ''
    return '\n'.join([f'| {" | ".join(header)} |', f'|{"---|" * len(header)}', *lines])


def points(value: float, sign: str = '') -> str:
    """Percent with one decimal, and no minus in front of zero."""
    return f'{round(100 * value, 1) + 0.0:{sign}.1f}'


def mean_and_spread(values: Iterable[float]) -> str:
    values = list(values)
    deviation = spread(values)
    mean = points(statistics.fmean(values))
    return mean if deviation is None else f'{mean} ± {points(deviation)}'


def interval(found: Estimate, before: str = '[', after: str = ']') -> str:
    if found.low is None:
        return ''
    return f'{before}{points(found.low, "+")}, {points(found.high, "+")}{after}'


def accuracy(result: Result | None, usual: int) -> str:
    """A cell; the number of seeds is in brackets where it is not the usual one."""
    if result is None:
        return ''
    n = len(result.entries)
    cell = mean_and_spread(result.accuracies.values())
    return cell if n == usual else f'{cell} ({n})'


def difference(found: Estimate | None) -> str:
    if found is None:
        return ''
    mean = points(found.mean, '+')
    return (f'**{mean}**' if found.claimed else mean) + interval(found, '<br>[')
