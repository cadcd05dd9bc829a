import gymnasium
import numpy as np
import pytest

from envs.particle_vector import ParticleVectorEnv

NAME = "embodied/Particle-v0"


def both(**kwargs):
    """Episodes one by one and in one pass."""
    return [gymnasium.make_vec(NAME, num_envs=5, vectorization_mode=mode, **kwargs) for mode in ("sync", None)]


def assert_equal(results):
    """Bits, dtypes and infos."""
    one_by_one, in_one_pass = results
    for mine, theirs in zip(in_one_pass[:-1], one_by_one[:-1], strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    assert in_one_pass[-1].keys() == one_by_one[-1].keys()
    for key, value in in_one_pass[-1].items():
        assert value.dtype == one_by_one[-1][key].dtype
        np.testing.assert_array_equal(value, one_by_one[-1][key])


@pytest.mark.parametrize("seed", [3, [4, 9, 2, 4, 7], [1, None, 5, None, 0]])
@pytest.mark.parametrize("kwargs", [{"dimension": 1}, {"dimension": 3}, {"dimension": 2, "max_episode_steps": 30}])
def test_episodes_are_those_of_single_environments(seed, kwargs):
    environments = both(**kwargs)
    assert type(environments[1].unwrapped) is ParticleVectorEnv
    for env in environments:  # streams that no seed names are known from here on
        env.reset(seed=11)
    assert_equal([env.reset(seed=seed) for env in environments])
    dimension, successes = kwargs["dimension"], 0
    for step in range(130):
        goals = environments[1].unwrapped.goals
        actions = goals[:, int(step % 51 >= 25)] if step % 51 >= 5 else np.full((5, dimension), -3.0 + step % 7)
        results = [env.step(actions.astype(np.float32)) for env in environments]
        assert_equal(results)
        successes += results[1][1].sum()
    assert_equal([env.reset() for env in environments])
    assert (successes > 0) == ("max_episode_steps" not in kwargs), "of episodes that are cut off there is no reward"


@pytest.mark.parametrize("seed", [None, 20, [1, None, 5, None, 0]])
@pytest.mark.parametrize("steps", [0, 7, 50])
def test_episodes_of_a_mask_start_anew_and_the_others_go_on(seed, steps):
    environments = both()
    mask = np.array([True, False, True, True, False])
    actions = np.linspace(0, 1, 10, dtype=np.float32).reshape(5, 2)
    for env in environments:
        env.reset(seed=11)
        for _ in range(steps):
            env.step(actions)
    assert_equal([env.reset(seed=seed, options={"reset_mask": mask.copy()}) for env in environments])
    assert environments[0].np_random_seed == environments[1].np_random_seed
    for _ in range(60):
        assert_equal([env.step(actions) for env in environments])
    assert_equal([env.reset() for env in environments])


def test_streams_and_their_seeds_are_those_of_single_environments():
    environments = both()
    assert len(environments[1].np_random_seed) == 5
    for env in environments:
        env.reset(seed=[1, 2, 3, 4, 5])
    assert environments[1].np_random_seed == (1, 2, 3, 4, 5)
    one_by_one, in_one_pass = (env.np_random for env in environments)
    assert [stream.random() for stream in in_one_pass] == [stream.random() for stream in one_by_one]


def test_what_was_returned_stays_as_it_is():
    env = ParticleVectorEnv(3)
    first, info = env.reset(seed=0)
    kept, known = first.copy(), {key: value.copy() for key, value in info.items()}
    for _ in range(60):
        env.step(np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(first, kept)
    for key, value in info.items():
        np.testing.assert_array_equal(value, known[key])


def test_frames_are_those_of_single_environments():
    environments = both(render_mode="rgb_array")
    for env in environments:
        env.reset(seed=0)
        env.step(np.full((5, 2), 0.7, np.float32))
    np.testing.assert_array_equal(*(np.array(env.render()) for env in environments))
    assert ParticleVectorEnv(2).render() is None


def masked(mask):
    return ParticleVectorEnv(2).reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ParticleVectorEnv(0), "num_envs and max_episode_steps must be at least 1; got 0 and 50"),
        (lambda: ParticleVectorEnv(2, max_episode_steps=0), "got 2 and 0"),
        (lambda: ParticleVectorEnv(2, dimension=33), r"dimension must be a whole number in 1\.\.32; got 33"),
        (lambda: ParticleVectorEnv(2).reset(seed=[1]), "a seed for each of the 2 episodes; got 1"),
        (lambda: ParticleVectorEnv(2).reset(seed=[]), "a seed for each of the 2 episodes; got 0"),
        (lambda: masked([True, False]), r"bool array of shape \(2,\) with at least one True; got \[True, False\]"),
        (lambda: masked(None), r"with at least one True; got None. Leave it out to start all episodes"),
        (lambda: masked(np.array([1, 0])), r"with at least one True; got array\(\[1, 0\]\)"),
        (lambda: masked(np.array([True])), r"shape \(2,\) with at least one True; got array\(\[ True\]\)"),
        (lambda: masked(np.zeros(2, np.bool_)), r"with at least one True; got array\(\[False, False\]\)"),
        (lambda: masked(np.array([True, False])), "reset must start all episodes once before it starts some of them"),
        (lambda: ParticleVectorEnv(2).step(np.zeros((2, 2))), "reset must be called before the first step"),
        (lambda: ParticleVectorEnv(2).step(np.zeros(2)), r"2 finite numbers in \[0, 1\] for each, shape \(2, 2\)"),
        (lambda: ParticleVectorEnv(1).step(np.array([[0.5, np.nan]])), "Actions of 1 environments must be 2 finite"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises((ValueError, gymnasium.error.ResetNeeded), match=message):
        call()
