"""The expert sees what a policy sees, on consecutive seeds, until enough episodes are kept."""

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401 - registers the environments
from embodied_gen.demos.collect import Disturbance, collect, expert_of, record


class Counter(gym.Env):
    """Succeeds on even seeds after three steps; gives one array again and again."""

    observation_space = gym.spaces.Box(-9, 9, (1,), np.float64)
    action_space = gym.spaces.Box(-9, 9, (1,), np.float32)

    def __init__(self, lucky=lambda seed: seed % 2 == 0):
        self.array, self.lucky, self.seeds = np.zeros(1), lucky, []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        self.array[:] = 0
        return self.array, {}

    def step(self, action):
        self.array += 1
        done = self.array[0] == 3
        return self.array, float(action[0]), bool(done), False, {"success": bool(done and self.lucky(self.seeds[-1]))}


class Echo:
    """Answers with what it saw, and remembers its seeds."""

    def __init__(self):
        self.seeds, self.seen = [], []

    def reset(self, seed):
        self.seeds.append(seed)

    def act(self, observation):
        self.seen.append(observation.copy())
        return observation + 0.25


class Told(Counter):
    """Remembers what was executed, for a hundred steps."""

    def __init__(self):
        super().__init__()
        self.executed = []

    def step(self, action):
        self.executed.append(action)
        return self.array, 0.0, len(self.executed) == 100, False, {"success": True}


def gather(env, expert, **changes):
    told = []
    arguments = {"episodes": 3, "seed": 5, "only_successes": True, "disturbance": None} | changes
    kept, tried = collect(env, expert, progress=lambda *numbers: told.append(numbers), **arguments)
    return kept, tried, told


def test_a_recording_holds_copies_of_what_was_seen_and_done():
    env, expert = Counter(), Echo()
    recording = record(env, expert, seed=4)
    assert recording.observations.tolist() == [[0], [1], [2], [3]]
    assert recording.actions.tolist() == [[0.25], [1.25], [2.25]] and recording.actions.dtype == np.float32
    assert recording.rewards.tolist() == [0.25, 1.25, 2.25]
    assert (recording.seed, recording.terminated, recording.success) == (4, True, True)
    assert np.array(expert.seen).tolist() == [[0], [1], [2]]


def test_seeds_follow_each_other_until_enough_episodes_succeed():
    env, expert = Counter(), Echo()
    kept, tried, told = gather(env, expert)
    assert [recording.seed for recording in kept] == [6, 8, 10]
    assert tried == 6 and env.seeds == expert.seeds == [5, 6, 7, 8, 9, 10]
    assert told == [(0, 1), (1, 2), (1, 3), (2, 4), (2, 5), (3, 6)]


def test_failures_are_kept_where_they_are_wanted():
    kept, tried, _ = gather(Counter(), Echo(), only_successes=False)
    assert [recording.seed for recording in kept] == [5, 6, 7] and tried == 3
    assert [recording.success for recording in kept] == [False, True, False]


def test_a_hopeless_expert_is_an_error_and_no_endless_loop():
    with pytest.raises(
        ValueError, match=r"the expert succeeded in 0 of 50 episodes; 3 were asked for. Check the environ"
    ):
        gather(Counter(lucky=lambda seed: False), Echo())


@pytest.mark.parametrize(
    ("changes", "message"), [({"episodes": 0}, "episodes must be"), ({"seed": -1}, "seed must be")]
)
def test_impossible_numbers_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        gather(Counter(), Echo(), **changes)


def test_an_environment_without_an_expert_is_named():
    with pytest.raises(ValueError, match=r"CartPoleEnv has no method expert\(\), so there is nothing to collect from"):
        expert_of(gym.make("CartPole-v1"))


def test_an_expert_is_found_under_the_wrappers_of_its_environment():
    env = gym.make("embodied/Reach-v0")
    recording = record(env, expert_of(env), seed=0)
    assert recording.success and len(recording.observations) == len(recording.actions) + 1


def test_the_same_seeds_give_the_same_recordings():
    used = gym.make("embodied/Avoid-v0")
    first = gather(used, expert_of(used))[0]
    fresh = gym.make("embodied/Avoid-v0")
    second, third = gather(used, expert_of(used))[0], gather(fresh, expert_of(fresh))[0]
    assert [r.seed for r in first] == [r.seed for r in second] == [r.seed for r in third]
    for other in (second, third):
        assert_same(first, other)


def assert_same(first, second):
    for mine, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(mine.observations, theirs.observations)
        np.testing.assert_array_equal(mine.actions, theirs.actions)


@pytest.mark.parametrize(("chance", "least", "most"), [(1.0, 100, 100), (0.1, 2, 25)])
def test_a_disturbance_changes_what_is_executed_and_not_what_is_recorded(chance, least, most):
    env = Told()
    recording = record(env, Echo(), 4, Disturbance(0.5, chance))
    executed = np.stack(env.executed)
    assert executed.dtype == np.float32 and (recording.actions == 0.25).all()
    kicks = (executed - recording.actions)[executed != recording.actions]
    assert least <= len(kicks) <= most
    assert abs(kicks.mean()) < 0.5 and 0.2 < np.sqrt(np.square(kicks).mean()) < 0.9
    again = Told()
    record(again, Echo(), 4, Disturbance(0.5, chance))
    assert np.array_equal(np.stack(again.executed), executed)


def test_a_disturbed_action_stays_within_its_space():
    env = Told()
    record(env, Echo(), 4, Disturbance(100.0, 1.0))
    assert np.abs(np.stack(env.executed)).max() == 9


@pytest.mark.parametrize(
    "values", [(0.0, 0.5), (-1.0, 0.5), (float("inf"), 0.5), (1.0, 0.0), (1.0, 1.5), (1.0, 0.5, 0)]
)
def test_a_disturbance_out_of_range_is_named(values):
    with pytest.raises(ValueError, match=r"positive size, a chance in \(0, 1\] and lasts a step or more; got size"):
        Disturbance(*values)


def test_a_disturbance_that_lasts_keeps_its_direction():
    env = Told()
    recording = record(env, Echo(), 4, Disturbance(0.1, 0.2, steps=5))
    kicks = (np.stack(env.executed) - recording.actions).ravel()
    changes = np.flatnonzero(np.diff(kicks, prepend=np.nan))
    lengths = np.diff([*changes, len(kicks)])[:-1]
    begun = np.abs(kicks[changes[:-1]]) > 1e-6
    assert begun.sum() >= 3 and (lengths[begun] % 5 == 0).all()


def test_actions_that_are_no_numbers_within_bounds_are_not_disturbed():
    env = Told()
    env.action_space = gym.spaces.Discrete(3)
    with pytest.raises(ValueError, match=r"only actions that are numbers within bounds .*Discrete.*data.disturbance"):
        record(env, Echo(), 4, Disturbance(1.0, 0.5))
