"""Costs count in their unit, of paths and of agents, and any function is one."""

import math

import pytest
import scene_cases as cases
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.events import Trajectory
from embodied_gen.heads.guidance import RowGuide, propose
from planners import (
    CostDuring,
    CostOfAgents,
    Headway,
    KeepDistance,
    Progress,
    Smoothness,
    TargetPoint,
    TargetSpeed,
    guide_of,
)

pytestmark = pytest.mark.usefixtures("double")

PATH_COSTS = [
    Smoothness(2.0, 0.2),
    Smoothness(2.0, 0.2, order=3),
    TargetSpeed(5.0, 2.0, 0.2),
    TargetPoint((1.0, 2.0), 3.0, step=2),
    Progress((3.0, 4.0), 2.0),
]
each = pytest.mark.parametrize("cost", PATH_COSTS, ids=lambda c: type(c).__name__)


@given(st.floats(0.1, 5), st.floats(0.05, 1), st.floats(0.5, 4))
def test_on_a_parabola_the_cost_of_acceleration_is_its_square_in_units(acceleration, period, unit):
    t = torch.arange(6) * period
    path = torch.stack([acceleration * t.square() / 2, 3 * t], -1)[None, None]
    assert Smoothness(unit, period)(path).item() == pytest.approx((acceleration / unit) ** 2)
    assert Smoothness(unit, period, order=3)(path).item() == pytest.approx(0, abs=1e-9)


@given(st.floats(0, 5), st.floats(0.05, 1), st.floats(0.5, 4), st.floats(-3, 3), st.floats(0.1, 9))
def test_at_a_steady_speed_costs_are_those_of_the_speed_and_the_way(speed, period, unit, heading, wanted):
    t = torch.arange(5) * period * speed
    path = torch.stack([math.cos(heading) * t, math.sin(heading) * t], -1)[None, None]
    off = ((speed - wanted) / unit) ** 2
    assert TargetSpeed(wanted, unit, period)(path).item() == pytest.approx(off, abs=5e-3)  # lengths are smooth at zero
    way = -4 * period * speed * math.cos(heading) / unit
    assert Progress((7, 0), unit)(path).item() == pytest.approx(way, abs=1e-9)
    end = (path[0, 0, -1] + torch.tensor([unit, 0])).tolist()
    assert TargetPoint(end, unit)(path).item() == pytest.approx(1)


@each
def test_a_cost_of_agents_is_the_mean_over_them(cost):
    y = cases.traffic(contexts=2, samples=3)
    alone = torch.stack([cost(y[:, :, k]) for k in range(4)])
    torch.testing.assert_close(CostOfAgents(cost)(y), alone.mean(0))
    torch.testing.assert_close(CostOfAgents(cost, [2])(y), alone[2])
    assert CostDuring(cost, 1, -2)(y[:, :, 0]).equal(cost(y[:, :, 0, 1:5]))
    assert CostDuring(CostOfAgents(cost), 1, 4)(y).equal(CostOfAgents(cost)(y[..., 1:5, :]))


@each
def test_the_gradient_of_a_cost_is_that_of_finite_differences_and_spares_the_absent(cost):
    y = cases.traffic(samples=2, agents=2).requires_grad_()
    assert torch.autograd.gradcheck(CostOfAgents(cost), y, eps=1e-6, atol=1e-4)
    gone = y.detach().clone()
    gone[:, :, 1, 4:], gone[:, :, 1, 4:, 6] = torch.nan, 0
    gone.requires_grad_()
    CostOfAgents(cost)(gone).sum().backward()
    assert gone.grad.isfinite().all() and (gone.grad[:, :, 1, 4:] == 0).all()
    still = torch.zeros(1, 1, 5, 2).requires_grad_()
    cost(still).sum().backward()
    assert still.grad.isfinite().all()


def test_headway_costs_what_is_lacking():
    y = cases.scene([cases.agent(0, 0, 0, speed=10)], [cases.agent(20, 0, math.pi)])
    headway = Headway(KeepDistance(2, 1.5, agents=[0]), 3.0)
    assert headway(y).item() == pytest.approx(((2 + 15 - (20 - 4.5)) / 3) ** 2)
    y[:, :, 1, :, 0] = 40
    assert headway(y).item() == 0


def test_any_function_of_the_right_shape_is_a_cost():
    def crossings(y):  # a count: it has no slope
        return (y[..., :-1, 0] * y[..., 1:, 0] < 0).sum(-1).to(y)

    event = Trajectory(8, low=[-1.0, -1.0], high=[1.0, 1.0])
    guide = guide_of([], [crossings, Progress((1, 0), 1.0)], scale=5.0)
    candidates = torch.randn(64, 32, 8, 2, generator=torch.Generator().manual_seed(0))
    row_guide = RowGuide(guide, event.to(torch.float64), 64)
    kept = propose(candidates, row_guide, generator=draws.generator(0))
    assert crossings(event.unscale(kept)).mean() < crossings(event.unscale(candidates[:, 0])).mean() - 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Smoothness(0, 1), "unit must be positive and finite; got 0"),
        (lambda: Smoothness(1, 1, order=4), "order must be 2 for acceleration or 3 for jerk; got 4"),
        (lambda: Smoothness(1, 1)(torch.zeros(1, 1, 2, 2)), "smoothness needs a path of 3 way-points or more; got 2"),
        (lambda: TargetSpeed(-1, 1, 1), "speed must be at least 0 and finite; got -1"),
        (lambda: TargetSpeed(1, 1, 0), "limit and period must be positive and finite; got 1 and 0"),
        (lambda: TargetPoint((0, 0), 1, step=4)(torch.zeros(1, 1, 3, 2)), r"target \(0, 0\): the span must lie in a"),
        (lambda: Progress((0, 0), 1), r"direction must be finite and not zero; got \[0, 0\]"),
        (lambda: Progress((1, 0), math.inf), "unit must be positive and finite; got inf"),
        (lambda: Headway(KeepDistance(1), -1), "unit must be positive and finite; got -1"),
        (lambda: CostOfAgents(PATH_COSTS[0], [9])(cases.traffic()), "cost, agents 9: there is no agent 9; the scene"),
        (lambda: CostDuring(PATH_COSTS[0], 3, 1), "a span must not end before it starts; got steps 3 to 1"),
        (lambda: CostDuring(PATH_COSTS[0], 3, 9)(cases.traffic()), "cost, steps 3 to 9: the span must lie in a path"),
    ],
)
def test_impossible_costs_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
