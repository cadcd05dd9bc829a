"""What is reported as impossible is impossible, and what is possible is not reported."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planners import (
    AttributeRange,
    During,
    Fixed,
    KeepInBox,
    KeepInRegion,
    KeepOutDisc,
    KeepOutRegion,
    NoCollision,
    OfAgents,
    OnRoad,
    ReachPoint,
    SpeedLimit,
    contradictions,
    feasible,
    polygon_of,
)

REGION = polygon_of([(0, 0), (4, 0), (4, 4), (0, 4)])
BOX, DISC = KeepInBox((0, 0), (4, 4)), KeepOutDisc((2, 2), 1)
FAST = AttributeRange("speed", 5, 9)


def given_start(x, y, speed=1.0):
    values, mask = torch.zeros(2, 5, 7), torch.zeros(2, 5, 7, dtype=torch.bool)
    values[0, 0, :4], mask[0, 0, :2], mask[0, 0, 3] = torch.tensor([x, y, 0, speed]), True, True
    return Fixed(values, mask, 0.1)


@pytest.mark.parametrize(
    ("constraints", "why"),
    [
        ([DISC, ReachPoint((2, 2.1), 0.2)], "all that the first allows is forbidden by the second"),
        ([KeepOutRegion(REGION), ReachPoint((2, 2), 0.2)], "all that the first allows"),
        ([BOX, ReachPoint((6, 2), 0.5)], r"what they keep in lies 1.4\d* m apart"),
        ([KeepInRegion(REGION), ReachPoint((6, 2), 0.5)], "what they keep in lies"),
        ([BOX, KeepInBox((5, 5), (6, 6))], "what they keep in lies 1.4"),
        ([BOX, KeepOutDisc((2, 2), 3)], "all that the first allows"),
        ([FAST, AttributeRange("speed", -1, 4.9)], "their ranges have no value in common"),
        ([AttributeRange("heading", 3, 3.2), AttributeRange("heading", -2.9, -2)], "no value in common"),
        ([ReachPoint((0, 0), 0.5, step=0), ReachPoint((9, 0), 0.5, step=4), SpeedLimit(1, 0.5)], "m lie between st"),
        ([ReachPoint((0, 0), 0.5, step=2), ReachPoint((9, 0), 0.5, step=2)], "what they keep in lies 7.99"),
        ([OfAgents(BOX), OfAgents(ReachPoint((6, 2), 0.5), [1])], "what they keep in lies"),
        ([OnRoad(REGION), OfAgents(ReachPoint((6, 2), 0.5), [1])], "what they keep in lies"),
        ([During(BOX, 3, 6), ReachPoint((6, 2), 0.5, step=4)], "what they keep in lies"),
        ([During(ReachPoint((6, 2), 0.5, step=1), 3, 6), During(BOX, 4, 4)], "what they keep in lies"),
        ([given_start(2, 2), OfAgents(DISC)], "all that the first allows"),
        ([given_start(9, 9), OfAgents(BOX, [0])], "what they keep in lies"),
        ([given_start(2, 2), OfAgents(FAST, [0])], "no value in common"),
        ([given_start(9, 0), OfAgents(ReachPoint((0, 0), 1, step=2)), OfAgents(SpeedLimit(1, 1))], "m lie between"),
    ],
)
def test_what_is_impossible_is_told_with_the_names(constraints, why):
    for order in (constraints, constraints[::-1]):
        (sentence,) = contradictions([NoCollision(), *order])
        assert sentence.startswith("infeasible: ") and all(f"[{c.name}]" in sentence for c in constraints)
        assert re.search(why, sentence)


@pytest.mark.parametrize(
    "constraints",
    [
        [BOX, DISC, KeepInRegion(REGION), FAST, SpeedLimit(1, 1), NoCollision(), ReachPoint((0.5, 0.5), 0.1)],
        [DISC, ReachPoint((2, 2.9), 0.2)],
        [BOX, KeepInBox((4, 4), (6, 6))],
        [BOX, ReachPoint((6, 2), 2.0)],
        [BOX, KeepOutDisc((2, 2), 2.8)],
        [AttributeRange("heading", 3, 3.5), AttributeRange("heading", -3, -2)],
        [AttributeRange("length", 1, 2), AttributeRange("width", 3, 4)],
        [ReachPoint((0, 0), 0.5, step=0), ReachPoint((9, 0), 0.5, step=4), SpeedLimit(2.1, 1)],
        [ReachPoint((0, 0), 0.5, step=2), ReachPoint((9, 0), 0.5, step=-1)],
        [OfAgents(BOX, [0]), OfAgents(ReachPoint((6, 2), 0.5), [1])],
        [OfAgents(BOX, [0]), OfAgents(ReachPoint((6, 2), 0.5), [1]), OfAgents(SpeedLimit(0.1, 1))],
        [During(BOX, 3, 6), ReachPoint((6, 2), 0.5, step=7)],
        [During(BOX, 3, 6), ReachPoint((6, 2), 0.5, step=-1)],
        [During(BOX, 0, 3), During(KeepInBox((5, 5), (6, 6)), 4, 9)],
        [ReachPoint((0, 0), 0.5, step=0), ReachPoint((9, 0), 0.5, step=4), During(SpeedLimit(1, 0.5), 2, 3)],
        [BOX, KeepInBox((5, 5), (6, 6), channels=(2, 3))],
        [given_start(2, 0.5), OfAgents(DISC), OfAgents(BOX), OfAgents(FAST, [1])],
        [given_start(9, 0), During(OfAgents(BOX), 1, 4)],
    ],
)
def test_what_is_possible_is_not_reported(constraints):
    assert contradictions(constraints) == []


numbers = st.floats(-2, 2)
points = st.tuples(numbers, numbers)
sizes = st.floats(0.1, 2)


@given(points, sizes, points, sizes, points, st.tuples(sizes, sizes), st.floats(0.1, 2), st.tuples(points, points))
def test_whatever_a_path_satisfies_is_not_reported(centre, radius, point, tolerance, low, size, limit, path):
    constraints = [
        KeepOutDisc(centre, radius),
        ReachPoint(point, tolerance),
        ReachPoint(path[0], 0.1, step=-2),
        KeepInBox(low, (low[0] + size[0], low[1] + size[1])),
        SpeedLimit(limit, 1.0),
    ]
    if feasible(constraints, torch.tensor(path, dtype=torch.float64)[None, None]):
        assert contradictions(constraints) == []


def test_of_a_whole_given_scene_every_agent_and_step_is_looked_at():
    values = torch.rand(8, 21, 7)
    fixed = Fixed(values, torch.ones(8, 21, 7, dtype=torch.bool), 1e-3)
    values[5, 13, 3] = 7
    assert contradictions([fixed, OfAgents(AttributeRange("speed", -1, 2), [0, 1])]) == []
    (sentence,) = contradictions([fixed, OfAgents(AttributeRange("speed", -1, 2))])
    assert "no value in common" in sentence
