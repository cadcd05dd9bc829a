"""Margins and costs are computed without a look at a number: a sampler on a device never waits for the host.

A meta tensor has a shape and no numbers, so that whatever asks for one fails. Two do, and are left out: integrals of a
cost map (`CostAlong`), whose points are as many as segments are long, and boxes without duplicates (`BoxesApart`,
`BoxCount`), which are suppressed until nothing changes.
"""

import pytest
import scene_cases as cases
import torch

from planners import (
    AccelerationLimit,
    AttributeRange,
    Bicycle,
    BoxesWithin,
    CostDuring,
    CostOfAgents,
    CurvatureLimit,
    DoubleIntegrator,
    During,
    Fixed,
    Headway,
    KeepDistance,
    KeepInBox,
    KeepInRegion,
    KeepOutDisc,
    KeepOutRegion,
    LongitudinalAcceleration,
    NoCollision,
    OfAgents,
    OnRoad,
    Progress,
    ReachPoint,
    Smoothness,
    SpeedLimit,
    TargetPoint,
    TargetSpeed,
    Unicycle,
    polygon_of,
)

REGION = polygon_of([(-9, -9), (9, -9), (9, 9), (-9, 9)])
MASK = torch.arange(7) < 3
ON_PATHS = [
    KeepOutDisc((1, 2), 3),
    KeepInBox((-9, -9), (9, 9)),
    KeepInRegion(REGION),
    KeepOutRegion(REGION),
    SpeedLimit(6, 0.2),
    AccelerationLimit(9, 0.2),
    CurvatureLimit(0.2),
    ReachPoint((3, 4), 5, step=2),
    AttributeRange("speed", 4, 7),
    AttributeRange("heading", -1, 1),
    LongitudinalAcceleration(-4, 4, 0.2),
    DoubleIntegrator(0.05, 0.2),
    Unicycle(0.05, 0.2),
    Bicycle(0.05, 0.2),
    Fixed(torch.arange(7.0), MASK, 0.1, angles=[2]),
]
ON_SCENES = [
    *[OfAgents(constraint) for constraint in ON_PATHS],
    OfAgents(SpeedLimit(6, 0.2), [0, 2]),
    During(OfAgents(SpeedLimit(6, 0.2)), 1, 3),
    Fixed(torch.zeros(4, 6, 7), MASK.expand(4, 6, 7), 0.1, angles=[2]),
    KeepDistance(2.0, 0.5),
    NoCollision(),
    OnRoad(REGION),
]
COSTS = [Smoothness(1.0, 0.2), TargetSpeed(5.0, 1.0, 0.2), TargetPoint((1, 2), 1.0), Progress((1, 0), 1.0)]
SCENE = cases.traffic().float().to("meta")
PATH = SCENE[:, :, 0]
BOXES = torch.empty(2, 3, 7, 6, device="meta")
ON_BOXES = [BoxesWithin((0.1, 0.0), (0.9, 0.8))]


@pytest.mark.parametrize(
    ("constraint", "y"),
    [(constraint, y) for y, each in ((PATH, ON_PATHS), (SCENE, ON_SCENES), (BOXES, ON_BOXES)) for constraint in each],
    ids=lambda value: getattr(value, "name", ""),
)
def test_margins_and_projections_need_no_number(constraint, y):
    assert constraint.margins(y).device == y.device
    assert constraint.project(y).shape == y.shape


@pytest.mark.parametrize(
    ("cost", "y"),
    [(cost, PATH) for cost in COSTS]
    + [(CostOfAgents(cost), SCENE) for cost in COSTS]
    + [(CostDuring(COSTS[0], 1, 4), PATH), (Headway(KeepDistance(2.0, 0.5), 1.0), SCENE)],
)
def test_costs_need_no_number(cost, y):
    assert cost(y).device == y.device
