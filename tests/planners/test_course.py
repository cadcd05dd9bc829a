"""A course leaves what can be followed as it is, bounds what can't, and says where a body stops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.blocks import PlannerControl
from planners import DoubleIntegrator
from planners.course import Course, course_of

C = 0.01  # period of a control step [s]
T = 12


def course(acceleration=5.0, time=0.05):
    return Course((0, 1), (2, 3), period=C, time=time, acceleration=acceleration)


def driven(acceleration, h, start):
    """Ways of a double integrator under constant accelerations, `(1, 1, T, 4)`."""
    ways = [torch.as_tensor(start)]
    for a in acceleration:
        x, v = ways[-1][:2], ways[-1][2:]
        ways.append(torch.cat([x + h * v + h**2 * a / 2, v + h * a]))
    return torch.stack(ways)[None, None]


@given(seed=st.integers(0, 2**31), stride=st.integers(1, 9))
def test_a_way_of_the_body_itself_is_left_as_it_is(seed, stride):
    rng = torch.Generator().manual_seed(seed)
    accelerations = 4.9 * (2 * torch.rand(T - 1, 2, generator=rng, dtype=torch.float64) - 1)
    ways = driven(accelerations, stride * C, torch.randn(4, generator=rng, dtype=torch.float64))
    held = course().held(ways, torch.tensor([stride * C], dtype=torch.float64))
    torch.testing.assert_close(held, ways, atol=1e-12, rtol=1e-9)


@given(seed=st.integers(0, 2**31), stride=st.integers(1, 9))
def test_what_is_held_is_a_way_of_a_double_integrator_within_its_bound(seed, stride):
    rng = torch.Generator().manual_seed(seed)
    ways = torch.randn(2, 3, T, 4, generator=rng, dtype=torch.float64)
    before = ways.clone()
    period = torch.tensor([stride * C, C], dtype=torch.float64)
    held = course().held(ways, period)
    assert ways.equal(before) and held[:, :, 0].equal(ways[:, :, 0])
    assert (DoubleIntegrator(1e-5, period.view(-1, 1, 1)).margin(held) >= 0).all()
    assert (held[..., 2:].diff(dim=-2).abs() <= (5 + 1e-9) * period.view(-1, 1, 1, 1)).all()


@pytest.mark.parametrize("stride", [1, 3, 8])
def test_without_a_bound_an_error_of_position_falls_as_control_steps_would_have_it(stride):
    h, speed = stride * C, torch.tensor([0.7, -0.3], dtype=torch.float64)
    ways = driven(torch.zeros(T - 1, 2, dtype=torch.float64), h, torch.cat([torch.zeros(2), speed]))
    away = ways.clone()
    away[:, :, 0, :2] += torch.tensor([0.02, 0.05], dtype=torch.float64)
    held = course(acceleration=float("inf")).held(away, torch.tensor([h], dtype=torch.float64))
    error = held[0, 0, :, :2] - ways[0, 0, :, :2]
    v = held[0, 0, :, 2:]
    predicted = error[:-1] + h * (v[:-1] - speed) / 2  # what would remain with the way's velocity
    torch.testing.assert_close(predicted[1:], predicted[:-1] * (1 - C / 0.05) ** stride, atol=1e-12, rtol=1e-9)


def test_other_channels_and_other_rows_are_not_touched():
    ways = torch.randn(2, 3, T, 6, dtype=torch.float64)
    of = Course((4, 1), (5, 0), period=C, time=0.1, acceleration=2.0)
    period = torch.tensor([C, 4 * C], dtype=torch.float64)
    held = of.held(ways, period)
    assert held[..., 2:4].equal(ways[..., 2:4])
    for row in range(2):
        torch.testing.assert_close(of.held(ways[row : row + 1], period[row : row + 1]), held[row : row + 1])


@settings(max_examples=50)
@given(
    speed=st.lists(st.floats(-6, 6), min_size=2, max_size=2),
    acceleration=st.floats(0.5, 30),
)
def test_a_stop_brakes_with_all_there_is_and_ends_at_rest(speed, acceleration):
    of = course(acceleration)
    states = of.stopping(np.array([0.3, -0.2, *speed]))
    way = torch.from_numpy(np.concatenate([[[0.3, -0.2, *speed]], states]))[None, None]
    np.testing.assert_allclose(states[-1, 2:], 0, atol=1e-12)
    far = np.array([0.3, -0.2]) + np.array(speed) * np.abs(speed) / (2 * acceleration)
    np.testing.assert_allclose(states[-1, :2], far, atol=1e-9)
    assert (way[..., 2:].diff(dim=-2).abs() <= acceleration * C * (1 + 1e-9) + 1e-12).all()
    # A speed that ends within a step is the only one that is not linear there.
    assert (DoubleIntegrator(acceleration * C**2, C).margin(way) >= 0).all()


def test_a_run_that_names_a_course_has_it():
    block = {"position": (0,), "velocity": (1,), "acceleration": 3.0, "time": 0.2}
    base = {"state": (0, 1), "goal": (2,), "reaches": (0,)}
    of = course_of(PlannerControl(**base, course=block), 0.05)
    assert (of.position, of.velocity, of.acceleration, of.time, of.period) == ([0], [1], 3.0, 0.2, 0.05)
    assert course_of(PlannerControl(**base), 0.05) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Course((0, 1), (2,), period=C, time=0.1), r"as many channels; got \[0, 1\] and \[2\]"),
        (lambda: Course((0,), (1,), period=0.2, time=0.1), "period must be positive and at most time; got 0.2 and 0.1"),
        (lambda: course(acceleration=0.0), "acceleration must be positive; got 0.0"),
        (lambda: course(float("inf")).stopping(np.zeros(4)), "stops within a time if its acceleration is known"),
    ],
)
def test_impossible_courses_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
