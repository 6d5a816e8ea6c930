"""How scans are divided, for a GPU of 132 processors at 1.7 GHz."""

import math

import pytest

from mmaction_videomambapro.ops.gpu import plan


def work(batch, channels, length):
    return plan.Work(batch, channels, length, math.ceil(length / 64), 2, R=4)


@pytest.mark.parametrize(
    ('shape', 'forward', 'backward'),
    [
        ((8, 1152, 1569), 170, 575),
        ((8, 384, 3137), 170, 410),
        ((1, 1152, 12545), 290, 590),
    ],
)
def test_microseconds_at_best(shape, forward, backward):
    found = plan.plan_forward(work(*shape), 132)
    costs = plan.FORWARD[found.Q]
    assert plan.cycles(work(*shape), 132, costs, found, 2) / 1700 <= forward
    found = plan.plan_backward(work(*shape), 132)
    costs = plan.BACKWARD[found.Q]
    assert plan.cycles(work(*shape), 132, costs, found, 1) / 1700 <= backward


def test_segments_are_for_few_sequences():
    assert plan.plan_forward(work(8, 1152, 1569), 132).segments == 2
    assert plan.plan_forward(work(1, 1152, 12545), 132).segments > 2
    assert plan.plan_backward(work(64, 1152, 1569), 132).segments == 1


def test_wide_tiles_are_for_many_sequences():
    assert plan.plan_forward(work(1, 384, 197), 132).Q == 1
    assert plan.plan_forward(work(64, 1152, 1569), 132).Q == 2


@pytest.mark.parametrize('length', [1, 64, 130, 1569, 3137, 12545, 100_000])
@pytest.mark.parametrize('planned', [plan.plan_forward, plan.plan_backward])
def test_as_many_segments_as_there_will_be(planned, length):
    """Each but the last has the same number of chunks."""
    sizes = work(1, 384, length)
    segments = planned(sizes, 132).segments
    per = math.ceil(sizes.chunks / segments)
    assert segments == math.ceil(sizes.chunks / per)
