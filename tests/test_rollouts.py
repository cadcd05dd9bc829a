"""The result of an episode depends on its seed alone: not on how many run beside it, where or when."""

import gymnasium as gym
import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

import envs  # noqa: F401 - registers the environments
from embodied_gen.control import Policy, RecedingHorizon
from embodied_gen.evaluate import BLOCK
from embodied_gen.rollouts import Episode, jerk, rollouts
from embodied_gen.slots import EnvMaker, make_slots

AVOID = EnvMaker("embodied/Avoid-v0", imports=("envs",))
REACH = EnvMaker("embodied/Reach-v0", {"max_episode_steps": 15}, imports=("envs",))
SEEDS = [1_000_000 + seed for seed in (5, 3, 17, 2, 40, 11, 8, 23, 31, 7, 1, 19, 4, 29, 6, 13, 37, 9)]

POLICIES = {
    "flow": {},
    "diffusion": {"head": {"schedule": {"kind": "cosine"}, "prediction": "noise", "sampler": {"kind": "ddim"}}},
    "ancestral": {"head": {"schedule": {"kind": "cosine"}, "sampler": {"kind": "ancestral", "width": 1.0}}},
    "ensemble": {"control": {"ensemble": 0.1, "actions": 2}},
    "mixture": {"head": {"kind": "mixture", "components": 3}},
    "unet": {"net": {"kind": "unet", "width": 8, "multipliers": [1, 2], "kernel": 3, "groups": 4}},
    "transformer": {"net": {"kind": "transformer", "width": 16, "depth": 1, "heads": 2}},
}


@pytest.fixture(scope="module")
def demonstrations(tiny_data):
    from embodied_gen.demos import store

    return store.read(tiny.DATASET, root=tiny_data)


def policy_of(name, demonstrations, **changes):
    config = tiny.experiment_of(**POLICIES[name])
    control = config.control
    arguments = {"history": control.history, "actions": control.actions, "ensemble": control.ensemble, "block": BLOCK}
    return Policy(tiny.predictor_of(config, demonstrations), **(arguments | changes))


def run(policy, num, workers=1, seeds=SEEDS, maker=AVOID):
    with make_slots(maker, num, workers) as slots:
        return rollouts(policy, slots, seeds)


@pytest.fixture(params=POLICIES)
def policy(request, demonstrations):
    return policy_of(request.param, demonstrations)


def alone(policy, seed, maker=AVOID):
    """One episode in a plain gymnasium loop."""
    env = gym.make(maker.id, **maker.kwargs)
    agent = RecedingHorizon(policy)
    observation, info = env.reset(seed=seed)
    agent.reset(seed)
    rewards, actions, ended = [], [], False
    while not ended:
        action = np.clip(agent.act(observation), env.action_space.low, env.action_space.high)
        observation, reward, terminated, truncated, info = env.step(action.astype(env.action_space.dtype))
        rewards.append(reward)
        actions.append(action)
        ended = terminated or truncated
    env.close()
    third = np.diff(np.array(actions, dtype=np.float64), n=3, axis=0)
    return Episode(
        seed=seed,
        success=info["is_success"],
        sum_reward=sum(rewards),
        max_reward=max(rewards),
        length=len(rewards),
        jerk=float(np.sqrt((third**2).sum(-1).mean())) if len(actions) > 3 else None,
        mode=info["mode"] if info.get("mode", -1) >= 0 else None,
    )


def test_results_are_identical_for_any_number_of_environments_and_equal_a_plain_loop(policy):
    expected = run(policy, 4)
    assert [episode.seed for episode in expected] == SEEDS
    for num in (1, 16):
        assert run(policy, num) == expected
    assert [alone(policy, seed) for seed in SEEDS[:3]] == expected[:3]
    assert len({episode.length for episode in expected}) > 1  # slots came free at different times


def test_results_are_identical_for_any_number_of_workers(demonstrations):
    policy = policy_of("ancestral", demonstrations)
    assert run(policy, 5, workers=2) == run(policy, 5)


def test_results_do_not_depend_on_the_order_of_the_seeds(demonstrations):
    policy = policy_of("flow", demonstrations)
    forwards, backwards = run(policy, 4), run(policy, 3, seeds=SEEDS[::-1])
    assert forwards == backwards[::-1]


def test_results_depend_on_the_seed(demonstrations):
    first, second = run(policy_of("flow", demonstrations), 2, seeds=[1, 2])
    assert first.jerk != second.jerk


def test_slots_are_refilled_until_all_seeds_are_done_and_each_is_told_once(demonstrations):
    told, resets = [], []
    policy = policy_of("flow", demonstrations)
    with make_slots(AVOID, 3, 1) as slots:
        reset = slots._reset
        slots._reset = lambda named, seeds: (resets.extend(zip(named, seeds, strict=True)), reset(named, seeds))[1]
        episodes = rollouts(policy, slots, SEEDS, progress=told.append)
    assert sorted(seed for _, seed in resets) == sorted(SEEDS)
    assert [seed for _, seed in resets[:3]] == SEEDS[:3]
    assert {slot for slot, _ in resets} == {0, 1, 2}
    assert sorted(told, key=lambda e: SEEDS.index(e.seed)) == episodes


def test_more_slots_than_seeds_are_left_empty(demonstrations):
    assert run(policy_of("flow", demonstrations), 7, seeds=SEEDS[:2]) == run(
        policy_of("flow", demonstrations), 1, seeds=SEEDS[:2]
    )


def test_no_seeds_are_no_episodes(demonstrations):
    assert run(policy_of("flow", demonstrations), 2, seeds=[]) == []


def test_a_time_limit_ends_an_episode_without_success():
    config = tiny.experiment_of(event={"kind": "trajectory"})
    predictor = tiny.predictor_of(config, tiny.episodes_of((20, 20), observation=6))
    episodes = run(Policy(predictor, history=2, actions=4, block=BLOCK), 3, seeds=[0, 1, 2, 3], maker=REACH)
    assert [(e.length, e.success, e.mode) for e in episodes] == [(15, False, None)] * 4


def test_another_number_of_actions_than_the_environments_is_named():
    config = tiny.experiment_of()
    predictor = tiny.predictor_of(config, tiny.episodes_of((20,), action=3))
    with pytest.raises(
        ValueError, match=r"the policy predicts actions of 3 numbers; the environment takes 2. Evaluate it"
    ):
        run(Policy(predictor, history=2, actions=4), 1)


def test_another_number_of_observations_than_the_environments_is_named(demonstrations):
    with pytest.raises(ValueError, match=rf"observations must have shape \(B, 2, 4\); got \({BLOCK}, 2, 6\)"):
        run(policy_of("flow", demonstrations), 1, maker=REACH)


def test_a_policy_that_diverges_is_told(demonstrations):
    policy = policy_of("flow", demonstrations)
    policy.plan = lambda memories: np.full((len(memories), 4, 2), np.nan)
    with pytest.raises(ValueError, match="contain NaN: the policy that made them diverged"):
        run(policy, 2)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.integers(4, 30))
def test_the_jerk_of_a_parabola_is_zero(coefficients, steps):
    t = np.arange(steps, dtype=np.float64)
    assert jerk(np.stack([np.polyval(coefficients, t), t], 1)) == pytest.approx(0, abs=1e-9 * steps**2)


@pytest.mark.parametrize("leading", [0.5, -2.0])
def test_the_jerk_of_a_cubic_is_six_times_its_leading_coefficient(leading):
    t = np.arange(20, dtype=np.float64)
    assert jerk((leading * t**3 + t)[:, None]) == pytest.approx(6 * abs(leading))
    # Two such channels add as lengths do.
    assert jerk(np.stack([leading * t**3] * 2, 1)) == pytest.approx(6 * abs(leading) * np.sqrt(2))


def test_fewer_than_four_actions_have_no_jerk():
    assert jerk(np.zeros((3, 2))) is None
    assert jerk(np.zeros((4, 2))) == 0.0
