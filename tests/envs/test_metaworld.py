import gymnasium
import numpy as np
import pytest

pytest.importorskip("metaworld")

from envs.metaworld import MetaWorldEnv, MetaWorldExpert

NAME = "embodied/MetaWorld-v0"


def test_gymnasium_has_no_complaint(assert_clean):
    assert_clean(gymnasium.make(NAME, task="pick-place-v3"), render=False)  # frames need OpenGL


@pytest.mark.parametrize("task", ["peg-insert-side-v3", "drawer-open-v3"])
def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic, task):
    assert_deterministic(NAME, task=task)


def test_an_episode_does_not_depend_on_a_success_before_it(play):
    env = gymnasium.make(NAME, task="button-press-topdown-v3")
    first, actions, _ = play(env, env.unwrapped.expert(), 1)
    assert play(env, env.unwrapped.expert(), 2)[2]["is_success"]
    again, _, _ = play(env, env.unwrapped.expert(), 1)
    assert np.array_equal(first, again)
    assert len(actions) > 20


@pytest.mark.parametrize("task", ["reach-v3", "push-v3", "window-open-v3"])
def test_the_expert_succeeds_and_success_ends_the_episode(play, task):
    env = gymnasium.make(NAME, task=task)
    for seed in range(3):
        _, actions, info = play(env, env.unwrapped.expert(), seed)
        assert info == {"is_success": True}
        assert len(actions) < 200


def test_every_seed_has_its_own_goal_and_the_goal_is_observed():
    env = gymnasium.make(NAME, task="reach-v3")
    goals = np.array([env.reset(seed=seed)[0][-3:] for seed in range(10)])
    assert len(np.unique(goals, axis=0)) == 10
    assert (goals[:, 1] > 0.5).all()


def test_the_first_observation_repeats_itself_in_the_part_of_the_previous_step():
    env = gymnasium.make(NAME, task="reach-v3")
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.ones(4, np.float32))
    observation, _ = env.reset(seed=1)
    assert np.array_equal(observation[:18], observation[18:36])


def test_numpys_global_generator_is_not_touched():
    before = np.random.get_state()  # noqa: NPY002
    env = MetaWorldEnv(task="reach-v3")
    env.reset(seed=0)
    env.step(np.zeros(4, np.float32))
    after = np.random.get_state()  # noqa: NPY002
    assert before[2] == after[2] and np.array_equal(before[1], after[1])


def test_without_success_the_episode_is_truncated_after_500_steps():
    env = MetaWorldEnv(task="reach-v3")
    env.reset(seed=0)
    for step in range(1, 501):
        _, _, terminated, truncated, _ = env.step(np.array([-1, -1, 1, 0], np.float32))
        assert not terminated and truncated == (step == 500)


def test_an_unknown_task_is_refused_with_close_names():
    with pytest.raises(ValueError, match=r"50 Meta-World V3 tasks; got 'drawer-opn-v3'.*drawer-open-v3"):
        MetaWorldEnv(task="drawer-opn-v3")
    with pytest.raises(ValueError, match="reach-v3"):
        MetaWorldExpert(task="reach-v2")


def test_an_action_that_is_not_finite_or_of_wrong_shape_is_refused():
    env = MetaWorldEnv()
    env.reset(seed=0)
    for action in (np.zeros(3), np.array([0, 0, np.inf, 0])):
        with pytest.raises(ValueError, match="4 finite numbers"):
            env.step(action)


def test_a_missing_package_is_explained_by_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "metaworld.env_dict", None)
    with pytest.raises(ImportError, match=r"'robotics' extra: pip install 'embodied-gen\[robotics\]'"):
        MetaWorldEnv()
