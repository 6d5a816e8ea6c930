"""What the seeds show: scores, paired differences, and which of them are claimed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from entries import Result
from scipy.stats import t as student
from training import TESTED

LEVEL = 0.95
FOR_INTERVAL, FOR_CLAIM = 3, 5  # seeds
SCORE = 'score'

BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean (float): The mean.
        low (float, optional): Lower end of the interval, None for too few seeds.
        high (float, optional): Its upper end.
        p (float): Two-sided, of the mean being 0. It is 1 for too few seeds.
        seeds (int): How many.
        claimed (bool): Whether the mean is claimed not to be 0.
    """

    mean: float
    low: float | None
    high: float | None
    p: float
    seeds: int
    claimed: bool = False


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation of a sample, None for a single value."""
    return statistics.stdev(values) if len(values) > 1 else None


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and t-interval of one value per seed.

    The standard deviation is taken as that of one held-out clip at least: where all
    seeds agree, it is too small to be measured, but not 0.
    """
    n, mean = len(values), statistics.fmean(values)
    if n < FOR_INTERVAL:
        return Estimate(mean, None, None, 1.0, n)
    error = max(statistics.stdev(values), 1 / TESTED) / math.sqrt(n)
    half = student.ppf((1 + LEVEL) / 2, n - 1) * error
    p = 2 * student.sf(abs(mean) / error, n - 1)
    return Estimate(mean, float(mean - half), float(mean + half), float(p), n)


def scores(results: Mapping[str, Result], tasks: Sequence[str]) -> dict[int, float]:
    """Mean over all tasks of (accuracy - chance) / (1 - chance), for each seed.

    Seeds that lack a task have no score.
    """
    if any(task not in results for task in tasks):
        return {}
    each = [results[task] for task in tasks]
    seeds = set.intersection(*(set(result.entries) for result in each))
    return {
        seed: statistics.fmean(
            (result.entries[seed].accuracy - result.chance) / (1 - result.chance)
            for result in each
        )
        for seed in sorted(seeds)
    }


def compare(
    reference: Mapping[str, BySeed], contestant: Mapping[str, BySeed], family: int
) -> dict[str, Estimate]:
    """Paired differences, contestant minus reference, over the seeds of both.

    Claims are corrected for the number of comparisons with Holm's method. Those that
    cannot be made yet count as if they showed nothing, so what is claimed stays so.

    Args:
        reference (Mapping): Values by seed, by what is compared: a task or the score.
        contestant (Mapping): The same of the other contestant.
        family (int): How many comparisons the pair has once it is complete.

    Returns:
        dict[str, Estimate]: Of what both have.
    """
    found = {}
    for name in reference:
        theirs, ours = reference[name], contestant.get(name, {})
        both = sorted(theirs.keys() & ours.keys())
        if both:
            found[name] = estimate([ours[seed] - theirs[seed] for seed in both])
    able = sorted(
        (name for name, each in found.items() if each.seeds >= FOR_CLAIM),
        key=lambda name: found[name].p,
    )
    for rank, name in enumerate(able):
        if found[name].p * (family - rank) > 1 - LEVEL:
            break
        found[name] = replace(found[name], claimed=True)
    return found
