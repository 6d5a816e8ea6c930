"""How a scan is divided among the processors of a GPU.

Narrow tiles and many segments occupy more warps, wide tiles and few segments take fewer
instructions. What is faster follows from a simple model of the GPU, and from counts of
instructions for compute capability 9.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

PARTITIONS = 4  # of a processor; each issues an instruction per cycle
ALONE = 2.5  # cycles per instruction of a warp that is alone in its partition: a guess
PASSES = 10_000  # cycles that it takes to launch the pass over segments
MOST = 64  # segments side by side
MORE = 1.02  # a few per cent are not worth more segments


class Work(NamedTuple):
    """What is to be scanned; rows are B * G, channels those of a group."""

    rows: int
    channels: int
    length: int
    chunks: int
    directions: int
    R: int  # states per lane and channel


class Plan(NamedTuple):
    """Tiles and turns, see ``tiles`` and ``arguments``, and segments of a sequence."""

    Q: int
    W: int
    FOURS: int
    segments: int


class Cost(NamedTuple):
    """Cycles for 32 channels of a token."""

    issue: int  # of a partition, which issues instructions
    exponentials: int  # of a partition's unit for them
    words: int  # of the processor's memory, times 4


class Costs(NamedTuple):
    """Of a scan, and of the pass over segments in front of it."""

    scan: Cost
    ends: Cost


FORWARD = {
    1: Costs(Cost(146, 144, 154), Cost(103, 136, 80)),  # by Q
    2: Costs(Cost(130, 144, 113), Cost(95, 136, 60)),
}
BACKWARD = {2: Costs(Cost(426, 296, 415), Cost(105, 152, 62))}


@lru_cache
def plan_forward(work: Work, processors: int) -> Plan:
    """Two directions take two launches, each of half of the segments."""
    return _fastest(work, processors, FORWARD, 2, work.directions)


@lru_cache
def plan_backward(work: Work, processors: int) -> Plan:
    """One launch, of all segments."""
    return _fastest(work, processors, BACKWARD, 4, 1)


def cycles(
    work: Work, processors: int, costs: Costs, plan: Plan, launches: int
) -> float:
    """How long a scan takes, at best."""
    tiles = work.rows * math.ceil(work.channels / (8 * plan.Q * plan.W))
    units = work.length / plan.segments * plan.Q / 4  # of a warp

    def time(cost, segments):
        """The fullest partition or processor decides, unless its warps are too few."""
        programs = tiles * segments
        warps = math.ceil(programs * plan.W / (PARTITIONS * processors))
        issuing = warps * max(cost.issue, cost.exponentials)
        reading = math.ceil(programs / processors) * plan.W / PARTITIONS * cost.words
        return units * max(issuing, reading, ALONE * cost.issue)

    scan = launches * time(costs.scan, work.directions * plan.segments / launches)
    if plan.segments <= launches:
        return scan
    # the last segment's end is not needed
    return scan + time(costs.ends, work.directions * (plan.segments - 1)) + PASSES


def _fastest(
    work: Work, processors: int, costs: Mapping[int, Costs], W: int, launches: int
) -> Plan:
    """The plan of fewest segments among those that are about as fast as the fastest."""
    if work.R > 4:  # more would not fit into registers
        return Plan(1, W, 4, _segments(work, launches))

    def time(plan):
        return cycles(work, processors, costs[plan.Q], plan, launches)

    counts = {_segments(work, launches * n) for n in range(1, MOST + 1)}
    plans = [Plan(Q, W, 4 // Q, count) for count in sorted(counts) for Q in costs]
    fastest = min(plans, key=time)
    enough = [plan for plan in plans if time(plan) <= MORE * time(fastest)]
    fewest = min(plan.segments for plan in enough)
    return min((plan for plan in enough if plan.segments == fewest), key=time)


def _segments(work: Work, most: int) -> int:
    """How many there are if each but the last has the same number of chunks."""
    return math.ceil(work.chunks / math.ceil(work.chunks / most))
