"""Timed paths keep their limits, follow their path, and on simple paths take as long as physics says."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from planners.time_profile import SPACING, timed

positive = st.floats(0.2, 5)
PERIOD = 0.01


def arc(radius, angle, count=200):
    """A circle's arc, which starts at the origin towards the right."""
    turned = np.linspace(0, angle, count)
    return radius * np.stack([np.sin(turned), 1 - np.cos(turned)], 1)


def run(path, start=0.0, speed=2.0, acceleration=3.0):
    return timed(np.asarray(path, float), start=start, speed=speed, acceleration=acceleration, period=PERIOD)


@given(positive, positive, positive, st.floats(0, 2 * math.pi))
def test_a_straight_run_from_rest_to_rest_takes_the_time_of_a_trapezoid(length, speed, acceleration, angle):
    end = length * np.array([math.cos(angle), math.sin(angle)])
    states = run([(0, 0), end], speed=speed, acceleration=acceleration)
    ramp = speed**2 / acceleration
    quickest = 2 * math.sqrt(length / acceleration) if length < ramp else length / speed + speed / acceleration
    assert len(states) * PERIOD == pytest.approx(quickest, abs=2 * PERIOD + 2 * SPACING / speed)
    np.testing.assert_allclose(states[-1], [*end, 0, 0], atol=1e-6)


@given(st.floats(0.2, 2), st.floats(1, 6), positive, positive)
def test_on_an_arc_speed_and_acceleration_stay_below_their_limits(radius, angle, speed, acceleration):
    states = run(arc(radius, angle, 20_000), speed=speed, acceleration=acceleration)
    speeds = np.concatenate([[0], np.linalg.norm(states[:, 2:], axis=1)])
    assert speeds.max() <= speed + 1e-9
    along, across = np.diff(speeds[:-1]) / PERIOD, speeds[:-2] * speeds[1:-1] / radius
    # From one sample to the next the speed squared, and with it the part across, changes by up to 2 A h / r.
    assert np.hypot(along, across).max(initial=0) <= acceleration * (1.02 + 4 * SPACING / radius)


@given(st.floats(0.3, 2), positive)
def test_a_long_arc_is_run_as_fast_as_its_curvature_allows(radius, acceleration):
    states = run(arc(radius, 20.0, 40_000), speed=100.0, acceleration=acceleration)
    fastest = np.linalg.norm(states[:, 2:], axis=1).max()
    assert fastest == pytest.approx(math.sqrt(acceleration * radius), rel=0.02)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=5), st.floats(-1, 4))
def test_states_lie_on_the_path_and_positions_follow_velocities(corners, start):
    path = np.array(corners)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assume(lengths.min() > 0.1)
    states = run(path, start=start)
    share = np.linspace(0, 1, 400)[:, None]
    dense = np.concatenate([a + share * (b - a) for a, b in pairwise(path)])
    away = np.linalg.norm(states[:, None, :2] - dense[None], axis=-1).min(1)
    assert away.max() < 0.01
    steps = np.diff(np.concatenate([path[:1], states[:, :2]]), axis=0)
    speeds = np.linalg.norm(states[:, 2:], axis=1)
    assert (np.linalg.norm(steps, axis=1) <= (np.maximum(speeds, np.roll(speeds, 1)) + 3 * PERIOD) * PERIOD + 1e-9)[
        1:
    ].all()
    np.testing.assert_allclose(states[-1], [*path[-1], 0, 0], atol=1e-6)


def test_a_run_goes_on_with_the_speed_it_has():
    moving, resting = run([(0, 0), (1, 0)], start=1.5), run([(0, 0), (1, 0)])
    assert moving[0, 2] == pytest.approx(1.5 + 3.0 * PERIOD, rel=0.01)
    assert resting[0, 2] == pytest.approx(3.0 * PERIOD, rel=0.01)
    assert len(moving) < len(resting)


def test_a_path_that_stays_where_it_is_is_one_state():
    np.testing.assert_array_equal(run([(0.3, 0.4), (0.3, 0.4)]), [[0.3, 0.4, 0, 0]])
