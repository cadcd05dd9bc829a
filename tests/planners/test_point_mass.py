"""The model is the simulator's away from walls, and its limits are those of the differential equation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planners.point_mass import BALL, PointMass

pytestmark = pytest.mark.usefixtures("double")

numbers = st.floats(-1, 1)


def travel(model, state, actions):
    """States after each of the actions."""
    states, rows = [], torch.as_tensor(state)[None]
    for action in actions:
        rows = model(rows, torch.as_tensor(action)[None])
        states.append(rows[0])
    return torch.stack(states)


@pytest.mark.parametrize("seed", range(5))
def test_it_moves_like_the_simulators_ball(seed):
    pytest.importorskip("gymnasium_robotics")
    from envs.pointmaze import PointMazeEnv

    env = PointMazeEnv(maze="large")
    env.reset(seed=seed)
    point, rng = env._inner.point_env, np.random.default_rng(seed)
    point.init_qpos[:], point.init_qvel[:] = (50.0, 50.0), rng.uniform(-6, 6, 2)  # outside of all walls
    state, _ = point.reset()
    actions = np.repeat(rng.uniform(-1.5, 1.5, (5, 2)), 10, axis=0)
    simulated = np.stack([point.step(action)[0] for action in actions])
    env.close()
    assert np.abs(simulated[:, 2:]).max() > 2
    np.testing.assert_allclose(travel(PointMass(), state, actions).numpy(), simulated, atol=1e-9)


@given(st.tuples(numbers, numbers), st.tuples(numbers, numbers))
def test_small_steps_tend_to_the_solution_of_the_equation(velocity, action):
    model = PointMass(period=1e-4, speed=1e3)
    reached = travel(model, (0.0, 0.0, *velocity), [action] * 1000)[-1, 2:]
    decay, steady = math.exp(-0.1 / BALL), 100 * torch.tensor(action)
    expected = steady + (torch.tensor(velocity) - steady) * decay
    torch.testing.assert_close(reached, expected, atol=1e-4, rtol=0)


@given(st.floats(1.1, 9), st.booleans())
def test_speeds_and_actions_beyond_their_limits_count_as_the_limits(beyond, negative):
    sign = -1.0 if negative else 1.0
    far = PointMass()(torch.tensor([[0.0, 0.0, 5 * sign * beyond, 0.0]]), torch.tensor([[sign * beyond, 0.0]]))
    at = PointMass()(torch.tensor([[0.0, 0.0, 5 * sign, 0.0]]), torch.tensor([[sign, 0.0]]))
    assert far.equal(at)


def test_rows_are_moved_alone():
    generator = torch.Generator().manual_seed(0)
    states, actions = torch.randn(6, 4, generator=generator), torch.randn(6, 2, generator=generator)
    together = PointMass()(states, actions)
    for row in range(6):
        assert together[row].equal(PointMass()(states[row : row + 1], actions[row : row + 1])[0])


@pytest.mark.parametrize("change", [{"mass": 0}, {"force": -1}, {"speed": 0}, {"period": math.nan}, {"damping": -1}])
def test_impossible_numbers_are_refused(change):
    with pytest.raises(ValueError, match="mass, force, speed and period must be positive and damping not negative"):
        PointMass(**change)
