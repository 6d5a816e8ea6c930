"""What happens when in a long video, from the scores of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def score_over_time(
    starts: Sequence[float], ends: Sequence[float], scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Score each moment by the windows that cover it.

    Windows start and end at times t_0 < t_1 < ... From t_k to t_k+1 the same windows
    cover every moment, and its score is their mean::

        p_k = mean of scores[i] over windows i with starts[i] <= t_k < ends[i]

    Args:
        starts (Sequence[float]): Of the windows, in seconds.
        ends (Sequence[float]): Of the windows; each later than its start.
        scores (np.ndarray): (windows, classes).

    Returns:
        tuple[np.ndarray, np.ndarray]: The times t, (steps + 1,), and the scores p,
        (steps, classes), which are NaN where there is no window.
    """
    scores = np.asarray(scores, np.float64)
    times = np.unique([*starts, *ends])
    sums, counts = np.zeros((len(times), scores.shape[1])), np.zeros(len(times))
    for edges, sign in ((starts, 1), (ends, -1)):
        at = np.searchsorted(times, edges)
        np.add.at(sums, at, sign * scores)
        np.add.at(counts, at, sign)
    sums, counts = sums.cumsum(0)[:-1], counts.cumsum()[:-1, None]
    return times, np.divide(sums, counts, np.full_like(sums, np.nan), where=counts > 0)


def smooth(times: np.ndarray, scores: np.ndarray, width: float) -> np.ndarray:
    """Average scores over a stretch of time around the middle of each step.

    With the middle m_k of step k, and d_kj the duration of what step j shares with the
    stretch from m_k - width / 2 to m_k + width / 2::

        q_k = sum_j d_kj p_j / sum_j d_kj

    Steps without scores do not count, and stay without.

    Args:
        times (np.ndarray): (steps + 1,), from :func:`score_over_time`.
        scores (np.ndarray): (steps, classes), from :func:`score_over_time`.
        width (float): In seconds; 0 changes nothing.

    Returns:
        np.ndarray: (steps, classes).
    """
    known = ~np.isnan(scores).any(1)
    if width <= 0 or not known.any():
        return scores
    rates = np.column_stack([np.where(known[:, None], scores, 0), known])
    areas = np.zeros((len(times), rates.shape[1]))  # from the start to each time
    np.cumsum(np.diff(times)[:, None] * rates, 0, out=areas[1:])

    def area(until):
        until = until.clip(times[0], times[-1])
        step = (np.searchsorted(times, until, 'right') - 1).clip(0, len(rates) - 1)
        return areas[step] + (until - times[step])[:, None] * rates[step]

    middles = (times[:-1] + times[1:]) / 2
    sums = area(middles + width / 2) - area(middles - width / 2)
    smoothed = np.full_like(scores, np.nan)
    smoothed[known] = sums[known, :-1] / sums[known, -1:]
    return smoothed


def find_segments(
    times: np.ndarray,
    scores: np.ndarray,
    min_score: float = 0.0,
    min_duration: float = 0.0,
) -> list[dict]:
    """Join neighbouring steps of the same best class.

    A step whose best score is below ``min_score`` has no class. While there is a
    segment shorter than ``min_duration``, the shortest takes the class of that one of
    its two neighbours which scores higher in it, or none if that score is below
    ``min_score``.

    Args:
        times (np.ndarray): (steps + 1,), from :func:`score_over_time`.
        scores (np.ndarray): (steps, classes), smoothed or not.
        min_score (float): Defaults to 0.
        min_duration (float): In seconds. Defaults to 0.

    Returns:
        list[dict]: For each segment "start" and "end" in seconds, "class", and
        "score", the mean of the class over the segment. Ascending; moments between
        them have no class.
    """
    if not len(scores):
        return []
    durations = np.diff(times)
    known = np.nan_to_num(scores, nan=-np.inf)
    best = known.argmax(1)
    best[known.max(1) < max(min_score, np.finfo(float).min)] = -1

    def mean(run, label):
        steps = slice(run[0], run[1])
        return float(np.average(scores[steps, label], weights=durations[steps]))

    def length(run):
        return times[run[1]] - times[run[0]]

    cuts = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
    runs = [[a, b, int(best[a])] for a, b in pairwise(cuts)]
    while True:
        short = [
            k for k, r in enumerate(runs) if r[2] >= 0 and length(r) < min_duration
        ]
        if not short:
            break
        k = min(short, key=lambda k: length(runs[k]))
        beside = [r[2] for r in (*runs[max(k - 1, 0) : k], *runs[k + 1 : k + 2])]
        found = max(((mean(runs[k], c), c) for c in beside if c >= 0), default=(0, -1))
        runs[k][2] = found[1] if found[0] >= min_score else -1
        for i in (k + 1, k):  # join with the next, then with the one before
            if 0 < i < len(runs) and runs[i][2] == runs[i - 1][2]:
                runs[i - 1][1] = runs.pop(i)[1]
    return [
        dict(start=float(times[r[0]]), end=float(times[r[1]]))
        | {'class': r[2], 'score': mean(r, r[2])}
        for r in runs
        if r[2] >= 0
    ]
