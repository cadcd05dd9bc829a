"""The ego is a kinematic bicycle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.ego import MAX_SPEED, STEERING, WHEELBASE, Ego

actions = st.tuples(st.floats(-1, 1), st.floats(-1, 1))
states = st.tuples(
    st.floats(-50, 50), st.floats(-50, 50), st.floats(-3, 3), st.floats(0, 30), st.floats(3, 6), st.floats(1.5, 2.5)
)


@given(states, actions)
def test_a_step_turns_and_moves_with_the_map(state, action):
    angle, shift = 0.9, np.array([7.0, -3.0])
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    one, other = Ego(np.array(state)), Ego(np.array([*(matrix @ state[:2] + shift), state[2] + angle, *state[3:]]))
    for ego in (one, other):
        ego.drive(np.array(action), 0.1)
    assert np.allclose(matrix @ one.box[:2] + shift, other.box[:2])
    assert np.isclose(np.exp(1j * (one.heading + angle)), np.exp(1j * other.heading)) and one.speed == other.speed


@given(states, st.floats(-1, 1))
def test_without_steering_it_goes_straight_by_the_mean_speed(state, pedal):
    ego = Ego(np.array(state))
    ego.drive(np.array([pedal, 0.0]), 0.1)
    expected = np.clip(state[3] + 0.1 * pedal * (6 if pedal >= 0 else 8), 0, MAX_SPEED)
    assert ego.speed == pytest.approx(expected) and np.isclose(np.cos(ego.heading - state[2]), 1)
    way = 0.1 * (state[3] + expected) / 2 * np.array([np.cos(state[2]), np.sin(state[2])])
    assert np.allclose(ego.box[:2] - state[:2], way, atol=1e-9)


@given(st.floats(-1, 1).filter(lambda wheel: abs(wheel) > 0.05))
def test_with_constant_steering_the_middle_runs_on_the_circle_of_the_bicycle(wheel):
    ego = Ego(np.array([0.0, 0.0, 0.0, 5.0, 5.0, 2.0]))
    points = []
    for _ in range(200):
        ego.drive(np.array([0.0, wheel]), 0.01)
        points.append(ego.box[:2])
    slip = np.arctan(np.tan(STEERING * wheel) / 2)
    radius = WHEELBASE * 5.0 / 2 / np.sin(slip)
    centre = radius * np.array([-np.sin(slip), np.cos(slip)])
    assert np.allclose(np.linalg.norm(np.array(points) - centre, axis=1), abs(radius), rtol=1e-3)


def test_speeds_stay_between_standstill_and_the_top():
    ego = Ego(np.array([0.0, 0.0, 0.0, 39.9, 5.0, 2.0]))
    ego.drive(np.array([9.0, 0.0]), 0.1)
    assert ego.speed == MAX_SPEED
    for _ in range(100):
        ego.drive(np.array([-9.0, 0.0]), 0.1)
    assert ego.speed == 0
    before = ego.box
    ego.drive(np.array([-1.0, 1.0]), 0.1)
    assert np.array_equal(ego.box, before)
