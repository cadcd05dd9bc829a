import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs

envs.register()


def _flat(env, observation):
    return gymnasium.spaces.flatten(env.observation_space, observation)


def trajectory(env, seed, actions):
    """Observations, rewards, ends and infos of one episode, as far as it goes."""
    observation, info = env.reset(seed=seed)
    rows = [(_flat(env, observation).tobytes(), 0.0, False, False, sorted(info.items()))]
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        rows.append((_flat(env, observation).tobytes(), float(reward), terminated, truncated, sorted(info.items())))
        if terminated or truncated:
            break
    return rows


@pytest.fixture
def assert_clean():
    """Gymnasium's checker with every warning an error."""

    def check(env, render=True):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env.unwrapped, skip_render_check=not render)

    return check


@pytest.fixture
def assert_deterministic():
    """Same seed and actions give the same bits: in a used instance, after other seeds, in a new instance."""

    def check(name, steps=30, **kwargs):
        env = gymnasium.make(name, **kwargs)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(steps)]
        first = trajectory(env, 7, actions)
        other = trajectory(env, 8, actions[::-1])
        assert other[0][0] != first[0][0], "another seed must give another start"
        assert trajectory(env, 7, actions) == first
        assert trajectory(gymnasium.make(name, **kwargs), 7, actions) == first

    return check


@pytest.fixture
def play():
    """Runs the expert for one episode; returns observations (laid flat), actions and the last info."""

    def run(env, expert, seed, noise=0.0):
        generator = np.random.default_rng([seed, 1])
        observation, info = env.reset(seed=seed)
        expert.reset(seed)
        observations, actions, done = [_flat(env, observation)], [], False
        while not done:
            action = expert.act(observation)
            assert action in env.action_space, f"action {action} outside {env.action_space}"
            if noise:
                action = action + generator.normal(0, noise, action.shape)
                action = np.clip(action, env.action_space.low, env.action_space.high)
                action = action.astype(env.action_space.dtype)
            observation, _, terminated, truncated, info = env.step(action)
            assert observation in env.observation_space
            observations.append(_flat(env, observation))
            actions.append(action)
            done = terminated or truncated
        return np.array(observations), np.array(actions), info

    return run


@pytest.fixture(scope="session")
def photographer():
    """Takes views of 160 x 120 pixels; skips what needs it where nothing can be rendered."""
    from envs.tabletop_photographer import Photographer

    try:
        made = Photographer((160, 120))
    except OSError as error:
        pytest.skip(str(error))
    yield made
    made.close()
