"""Paths that are driven satisfy the dynamics they were driven by, and others do not."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planners import Bicycle, Unicycle
from planners.dynamics import DoubleIntegrator

pytestmark = pytest.mark.usefixtures("double")

WHEELBASE = 2.8


def driven(speed, acceleration, steering, period=0.1, steps=12, rear=0.0):
    """A kinematic bicycle by its rear axle, integrated finely; states (x, y, heading, speed) `(1, 1, T, 4)`."""
    fine = 200
    h, x, y, heading, v, states = period / fine, 0.0, 0.0, 0.3, speed, []
    for k in range((steps - 1) * fine + 1):
        if k % fine == 0:
            states.append([x + rear * math.cos(heading), y + rear * math.sin(heading), heading, v])
        middle = heading + h * v * math.tan(steering) / WHEELBASE / 2
        x, y = x + h * v * math.cos(middle), y + h * v * math.sin(middle)
        heading, v = heading + h * v * math.tan(steering) / WHEELBASE, v + h * acceleration
    return torch.tensor(states, dtype=torch.float64)[None, None]


@given(st.floats(1, 15), st.floats(-1, 3), st.floats(-0.3, 0.3))
def test_what_is_driven_is_consistent(speed, acceleration, steering):
    path = driven(speed, acceleration, steering)
    turn = 0.1 * (speed + 4) * math.tan(abs(steering)) / WHEELBASE
    tolerance = 0.01 + 0.1 * (speed + 4) * turn**2 / 6  # the midpoint rule's error
    assert Unicycle(tolerance, 0.1).margin(path).item() >= 0
    assert Bicycle(tolerance, 0.1, steering=0.31).margin(path).item() >= 0
    assert Unicycle(tolerance, 0.15).margin(path).item() < 0 or speed < 1.5
    centre = driven(speed, acceleration, steering, rear=1.4)
    assert Bicycle(tolerance, 0.1, steering=0.31, rear=1.4).margin(centre).item() >= 0


def test_a_car_turns_as_far_as_it_steers_and_no_further():
    path = driven(8, 0, 0.3)
    assert Bicycle(1e-3, 0.1, steering=0.301).margin(path).item() >= 0
    assert Bicycle(1e-3, 0.1, steering=0.295).margin(path).item() < 0
    assert Bicycle(1e-3, 0.1, steering=0.301, wheelbase=3.2).margin(path).item() < 0


def test_a_car_does_not_slip_and_does_not_turn_on_the_spot():
    slips, turns = driven(5, 0, 0), torch.zeros(1, 1, 3, 4)
    slips[..., 1] += torch.arange(12) * 0.1
    turns[..., 2] = torch.tensor([0.0, 0.2, 0.4])
    assert Bicycle(0.05, 0.1).margin(slips).item() < 0 and Unicycle(0.05, 0.1).margin(slips).item() < 0
    assert Bicycle(0.05, 0.1).margin(turns).item() == pytest.approx(0.05 - 0.2 * 2.8)
    assert Unicycle(0.05, 0.1).margin(turns).item() == pytest.approx(0.05, abs=1e-5)
    assert Bicycle(0.05, 0.1).margin(torch.zeros(1, 1, 3, 4)).item() == pytest.approx(0.05)


def test_headings_may_pass_half_a_turn():
    path = driven(8, 0, 0.2)
    jumps = path.clone()
    jumps[..., 6:, 2] -= 2 * math.pi
    for constraint in (Unicycle(0.01, 0.1), Bicycle(0.01, 0.1)):
        torch.testing.assert_close(constraint.margins(jumps), constraint.margins(path))


def test_a_period_for_each_context_is_read():
    two = driven(8, 0, 0.1).expand(2, 1, 12, 4)
    period = torch.tensor([0.1, 0.2]).view(2, 1, 1)
    assert (Unicycle(0.01, period).margin(two) >= 0).tolist() == [[True], [False]]
    assert (Bicycle(0.01, period, steering=0.06).margin(two) >= 0).tolist() == [[False], [True]]


@pytest.mark.parametrize(
    "constraint", [Unicycle(0.1, 0.1), Bicycle(0.1, 0.1, rear=1.2), DoubleIntegrator(0.1, 0.1)], ids=lambda c: c.name
)
def test_gradients_are_those_of_finite_differences_and_finite_at_rest(constraint):
    y = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(constraint.margins, y, eps=1e-7, atol=1e-4)
    still = torch.zeros(1, 1, 5, 4).requires_grad_()
    constraint.margins(still).sum().backward()
    assert still.grad.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Unicycle(0, 1), "limit and period must be positive and finite; got 0 and 1"),
        (lambda: Bicycle(1, 1, steering=2), "steering lie between 0 and pi / 2 radians; got 2.8 and 2"),
        (lambda: Bicycle(1, 1, wheelbase=0), "wheelbase must be positive"),
        (lambda: Unicycle(1, 1).margins(torch.zeros(1, 1, 1, 4)), "a step needs a path of 2 way-points or more; got 1"),
    ],
)
def test_impossible_dynamics_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
