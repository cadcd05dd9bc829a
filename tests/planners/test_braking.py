"""Braking keeps to the way and takes the distance that it must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners.braking import braked

PERIOD = 0.1


def arc(speed, turn, steps):
    """States of a vehicle on a circle, from the first moment on; angle `turn` a second."""
    t = PERIOD * np.arange(steps)
    heading = 3.0 + turn * t
    x, y = (speed / turn * np.array([np.sin(heading) - np.sin(3.0), np.cos(3.0) - np.cos(heading)])).tolist()
    return np.array([x, y, np.angle(np.exp(1j * heading)), np.full(steps, speed), np.full(steps, 4.5)]).T


@given(speed=st.floats(0.1, 11), turn=st.sampled_from([-0.5, 0.3]), deceleration=st.floats(1, 9))
def test_the_way_is_kept_and_the_stop_is_where_it_must_be(speed, turn, deceleration):
    way = arc(speed, turn, 60)
    states = braked(way[0], way[1:], deceleration, period=PERIOD, steps=300)
    centre = np.array([-np.sin(3.0), np.cos(3.0)]) * speed / turn
    radius = np.linalg.norm(states[:, :2] - centre, axis=1)
    np.testing.assert_allclose(radius, abs(speed / turn), rtol=1e-3)
    places = np.concatenate([way[:1, :2], states[:, :2]])
    gone = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
    assert gone == pytest.approx(speed**2 / (2 * deceleration), rel=2e-3)
    assert states[-1, 3] == pytest.approx(0, abs=1e-9)
    assert (np.diff(states[:, 3]) <= 1e-12).all() and (states[:, 4] == 4.5).all()


def test_without_a_way_it_brakes_straight_on():
    here = np.array([1.0, 2.0, np.pi / 2, 4.0])
    states = braked(here, np.zeros((0, 4)), 2.0, period=0.5, steps=6)
    expected = [1.75, 3.0, 3.75, 4.0, 4.0, 4.0]
    np.testing.assert_allclose(states[:, 1] - 2.0, expected)
    np.testing.assert_allclose(states[:, 0], 1.0, atol=1e-12)
    np.testing.assert_allclose(states[:, 3], [3, 2, 1, 0, 0, 0])
