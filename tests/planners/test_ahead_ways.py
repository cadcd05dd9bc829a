"""Stretches ahead under the guide of a map: no map in the model, no waste in the way."""

import numpy as np
import pytest
import torch
from shapely.geometry import LineString
from torch import nn

from embodied_gen import draws
from embodied_gen.encoder import StateEncoder
from embodied_gen.events import LabelMap, Trajectory
from embodied_gen.heads import DenoisingHead, RegressionHead
from embodied_gen.heads.parametrisation import Clean
from embodied_gen.heads.schedules import Rectified
from embodied_gen.predictor import Predictor
from planners import CostAlong, CostMap
from planners.ahead_ways import AheadWays

SIZE, CELL, STEPS = 16, 0.5, 8
START, GOAL = np.array([1.0, 4.0]), np.array([7.0, 4.0])


class TowardsTheGoal(nn.Module):
    """The clean estimate of steps that lead evenly to the goal, with independent normals of a deviation each."""

    def __init__(self, deviation):
        super().__init__()
        self.variance = deviation**2

    def forward(self, x, t, c):
        t = t.view(-1, 1, 1)
        share = torch.arange(1, STEPS + 1).view(1, -1, 1) / STEPS
        mean = share * c.unsqueeze(1) / 8
        spread = self.variance * (1 - t) ** 2 + t**2
        return mean + self.variance * (1 - t) / spread * (x - (1 - t) * mean)


def model(deviation=0.1):
    """Positions ahead in units of 8 m."""
    event = Trajectory(STEPS, [-8.0, -8.0], [8.0, 8.0])
    head = DenoisingHead(
        event, TowardsTheGoal(deviation), schedule=Rectified(), parametrisation=Clean(), steps=10, clip=None
    )
    return Predictor(StateEncoder(1, torch.zeros(2), torch.ones(2)), head)


def muddy(price=20.0):
    """Mud across the straight way, open above."""
    values = torch.ones(SIZE, SIZE)
    values[5:9, 6:10] = price
    return CostMap(values, CELL)


def ask(ways, seed=0):
    return ways.way(START, GOAL, generator=draws.generator(seed))


def cost(map, points):
    return CostAlong(map)(torch.from_numpy(points)[None, None]).item()


def test_a_guided_stretch_starts_where_the_body_is_and_wastes_little():
    map, straight = muddy(), np.linspace(START, GOAL, 9)
    points, good = ask(AheadWays(model(), map, unit=0.5, count=64))
    assert good and points.dtype == np.float64 and points.shape == (STEPS + 1, 2)
    assert np.allclose(points[0], START)
    best = float(map.to_go(GOAL)(torch.from_numpy(START)))
    left = float(map.to_go(GOAL)(torch.from_numpy(points[-1])))
    free = model().sample(torch.from_numpy(GOAL - START).float().view(1, 1, 2), 64, generator=draws.generator(0))
    ends = torch.from_numpy(START).float() + free[0]
    wasted = CostAlong(map)(ends[None])[0] + map.to_go(GOAL)(ends[:, -1]) - best
    assert cost(map, points) + left - best < 0.5 * wasted.median() and cost(map, points) < cost(map, straight)


def test_more_draws_waste_less_on_average():
    map = muddy()

    def waste(count):
        found = [ask(AheadWays(model(), map, unit=1.0, count=count), seed).points for seed in range(6)]
        return np.mean([cost(map, p) + float(map.to_go(GOAL)(torch.from_numpy(p[-1]))) for p in found])

    assert waste(64) < waste(1)


def test_the_way_is_a_function_of_the_generator_and_of_displacements_alone():
    map = CostMap(torch.ones(4 * SIZE, 4 * SIZE), CELL)
    ways, by = AheadWays(model(), map, unit=1.0, count=8), np.array([8.0, 8.0])
    first, again = (ways.way(START, GOAL, generator=draws.generator(3)).points for _ in range(2))
    there = ways.way(START + by, GOAL + by, generator=draws.generator(3)).points
    assert np.array_equal(first, again)
    assert np.allclose(first + by, there, atol=0.05)  # costs to go are read on another part of the same flat map


def test_a_way_through_an_obstacle_is_not_called_good():
    map = muddy(torch.inf)
    points, good = ask(AheadWays(model(0.001), map, unit=100.0, count=2))  # hardly anything to choose from
    assert not good and not map.free_space().covers(LineString(points))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AheadWays(model(), muddy(), unit=0.0), "unit must be positive and finite and count at least 1; got 0"),
        (lambda: AheadWays(model(), muddy(), unit=1.0, count=0), "count at least 1; got 1.0 and 0"),
        (
            lambda: AheadWays(
                Predictor(nn.Identity(), RegressionHead(LabelMap(1, 4, 3), nn.Identity())), muddy(), unit=1.0
            ),
            r"way-points in the plane, shape \(T, 2\); the event has",
        ),
        (
            lambda: AheadWays(model(), muddy(), unit=1.0).way(START, GOAL + 9, generator=draws.generator(0)),
            r"goal must lie on the map of 16 x 16 cells",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
