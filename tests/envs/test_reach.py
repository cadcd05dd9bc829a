import gymnasium
import numpy as np
import pytest

from envs.reach import GOAL_RADIUS, ReachEnv


@pytest.fixture(scope="module")
def env():
    return gymnasium.make("embodied/Reach-v0")


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make("embodied/Reach-v0", render_mode=render_mode))


def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic):
    assert_deterministic("embodied/Reach-v0")


def test_the_expert_always_reaches_the_goal(env, play):
    expert = env.unwrapped.expert()
    for seed in range(100):
        observations, actions, info = play(env, expert, seed)
        assert info == {"is_success": True}
        assert len(actions) < 45
        assert np.linalg.norm(observations[-1, :2] - observations[-1, 4:]) < GOAL_RADIUS


def test_passing_the_goal_at_speed_is_no_success(env):
    observation, _ = env.reset(seed=0)
    inner = env.unwrapped
    inner.goal = observation[:2] + np.array([0.0, 0.2])
    close, done = 0, False
    for _ in range(15):
        observation, _, done, _, info = env.step(np.array([observation[0], 0.4], np.float32))
        close += np.linalg.norm(observation[:2] - inner.goal) < GOAL_RADIUS
        assert not done and not info["is_success"]
    assert close > 0, "the effector must have passed the goal for this test to say anything"


def test_goals_fill_the_workspace(env):
    goals = np.array([env.reset(seed=seed)[0][4:] for seed in range(300)])
    assert np.ptp(goals[:, 0]) > 0.95 and np.ptp(goals[:, 1]) > 0.75


def test_frames_show_the_goal():
    env = ReachEnv(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    env.goal = env.goal * 0.5
    assert (first != env.render()).any()


def test_without_render_mode_there_is_no_frame(env):
    env.reset(seed=0)
    assert env.unwrapped.render() is None
