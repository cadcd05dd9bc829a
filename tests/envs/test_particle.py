import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.particle import GOAL_RADIUS, LARGEST, ParticleEnv

NAME = "embodied/Particle-v0"


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make(NAME, render_mode=render_mode))


def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic):
    assert_deterministic(NAME, dimension=3, steps=50)


@pytest.mark.parametrize("dimension", [1, 2, 16, LARGEST])
def test_the_expert_always_succeeds_at_the_end_and_never_before(dimension, play):
    env = gymnasium.make(NAME, dimension=dimension)
    for seed in range(20):
        observations, actions, info = play(env, env.unwrapped.expert(), seed)
        assert len(actions) == 50
        assert info == {"is_success": True, "first_reached": True}
        positions, _, first, second = np.split(observations, 4, axis=1)
        to_first = np.linalg.norm(positions - first, axis=1)
        turned = int(np.argmax(to_first < 0.01))
        wanted = np.where(np.arange(50)[:, None] < turned, first[:50], second[:50]).astype(np.float32)
        assert np.array_equal(actions, wanted), "one goal until it is near, then the other"
        assert np.linalg.norm(positions[-1] - second[-1]) < GOAL_RADIUS


@given(st.integers(1, 4), st.integers(0, 1000), st.integers(0, 49))
def test_a_step_is_the_linear_law_of_its_controller(dimension, seed, steps):
    env = ParticleEnv(dimension=dimension)
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    for _ in range(steps % 5):
        observation, *_ = env.step(env.action_space.sample())
    action = env.action_space.sample()
    # x' = x + v h, v' = v + (10 (a - x) - 5 v) h as a matrix, ten times
    euler = np.eye(2) + 0.005 * np.array([[0.0, 1.0], [-10.0, -5.0]])
    power = np.linalg.matrix_power(euler, 10)
    error = np.stack([observation[:dimension] - action, observation[dimension : 2 * dimension]])
    expected = power @ error + np.stack([action, np.zeros(dimension)])
    assert env.step(action)[0][: 2 * dimension] == pytest.approx(expected.ravel(), abs=1e-9)


@given(st.lists(st.booleans(), min_size=50, max_size=50), st.integers(0, 100))
def test_no_actions_lead_out_of_the_observation_space(ends, seed):
    env = ParticleEnv(dimension=1)
    env.reset(seed=seed)
    for end in ends:
        observation, *_ = env.step(np.array([float(end)], np.float32))
        assert observation in env.observation_space


def test_success_needs_the_first_goal_and_the_second_at_the_end():
    env = ParticleEnv(dimension=2)
    for order, expected in (((0, 1), True), ((1, 0), False), ((1, 1), False), ((0, 0), False)):
        env.reset(seed=4)
        assert np.linalg.norm(env.goals[0] - env.goals[1]) > 0.2
        rewards = []
        for step in range(50):
            action = env.goals[order[step >= 25]].astype(np.float32)
            _, reward, terminated, truncated, info = env.step(action)
            rewards.append(reward)
            assert not terminated and truncated == (step == 49)
        assert info["is_success"] == expected
        assert rewards == [0.0] * 49 + [float(expected)]


def test_set_points_outside_of_the_cube_are_clipped():
    env = ParticleEnv(dimension=1)
    results = []
    for action in (1.0, 7.0):
        env.reset(seed=0)
        results.append(env.step(np.array([action]))[0])
    assert np.array_equal(*results)


def test_frames_show_the_point():
    env = ParticleEnv(dimension=3, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (108, 400, 3) and first.dtype == np.uint8
    env.step(env.goals[0].astype(np.float32))
    assert (first != env.render()).any()
    assert ParticleEnv().render() is None


@pytest.mark.parametrize("dimension", [0, 33, 2.0, "2", True])
def test_other_dimensions_are_refused(dimension):
    with pytest.raises(ValueError, match=rf"dimension must be a whole number in 1\.\.32; got {dimension!r}"):
        ParticleEnv(dimension=dimension)


@pytest.mark.parametrize("action", [[0.5], [0.5, np.nan], [[0.5, 0.5]]])
def test_bad_actions_are_refused(action):
    env = ParticleEnv(dimension=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"2 finite numbers in \[0, 1\]"):
        env.step(np.array(action))
