import gymnasium
import numpy as np
import pytest

from envs.avoid import AvoidEnv, clearance
from envs.routes import MODES


@pytest.fixture(scope="module")
def env():
    return gymnasium.make("embodied/Avoid-v0")


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make("embodied/Avoid-v0", render_mode=render_mode))


def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic):
    assert_deterministic("embodied/Avoid-v0", steps=60)


def test_an_episode_does_not_depend_on_a_collision_before_it(env, play):
    observations, actions, _ = play(env, env.unwrapped.expert(), 3)
    env.reset(seed=0)
    for _ in range(40):
        if env.step(np.array([0.0, -0.1], np.float32))[2]:
            break
    repeated = [env.reset(seed=3)[0]] + [env.step(action)[0] for action in actions]
    assert np.array_equal(observations, repeated)


def test_the_expert_succeeds_and_uses_many_routes(env, play):
    expert = env.unwrapped.expert()
    results = [play(env, expert, seed) for seed in range(100)]
    infos = [info for _, _, info in results]
    assert np.mean([info["is_success"] for info in infos]) >= 0.99
    assert len({info["mode"] for info in infos if info["is_success"]}) >= 20
    assert 30 <= np.mean([len(actions) for _, actions, _ in results]) <= 45


@pytest.mark.parametrize("route", range(MODES))
def test_every_route_can_be_taken_from_every_start_even_with_noise(env, play, route):
    expert = env.unwrapped.expert(route=route)
    for seed in range(4):
        _, _, info = play(env, expert, seed, noise=0.003 * (seed % 2))
        assert info == {"is_success": True, "collision": False, "mode": route}


def test_the_expert_draws_its_route_from_its_seed_alone(env):
    observation, _ = env.reset(seed=0)
    expert, other = env.unwrapped.expert(), env.unwrapped.expert()
    expert.reset(5)
    other.reset(6)
    other.act(observation)
    other.reset(5)
    assert np.array_equal(expert.act(observation), other.act(observation))


def test_the_expert_returns_to_its_path_when_pushed_aside(env):
    expert = env.unwrapped.expert(route=0)
    observation, _ = env.reset(seed=0)
    expert.reset(0)
    here = expert.act(observation)
    observation[:2] += [0.05, 0.0]
    assert expert.act(observation) == pytest.approx(here, abs=0.03)


def test_starts_are_spread_over_centimetres(env):
    starts = np.array([env.reset(seed=seed)[0] for seed in range(200)])
    assert np.allclose(starts[:, :2], starts[:, 2:], atol=1e-12)
    assert np.ptp(starts[:, 0]) > 0.06
    assert 0.02 < np.ptp(starts[:, 1]) < 0.04
    assert np.abs(starts[:, :2].mean(axis=0) - [0, -0.36]).max() < 0.01


def test_running_straight_into_a_post_is_a_collision_and_ends_the_episode(env):
    env.reset(seed=0)
    for _ in range(20):
        observation, reward, terminated, truncated, info = env.step(np.array([0.0, 0.0], np.float32))
        if terminated:
            break
    assert terminated and not truncated
    assert reward == 0.0
    assert info == {"is_success": False, "collision": True, "mode": -1}
    assert observation[1] < -0.21, "the post must also stop the effector"


def test_crossing_the_finish_line_is_a_success_worth_1(env):
    expert = env.unwrapped.expert(route=2)
    observation, _ = env.reset(seed=0)
    expert.reset(0)
    rewards, terminated = [], False
    while not terminated:
        observation, reward, terminated, _, info = env.step(expert.act(observation))
        rewards.append(reward)
    assert rewards == [0.0] * (len(rewards) - 1) + [1.0]
    assert info["is_success"]
    assert observation[1] >= 0.35 - 0.01


def test_a_jump_across_a_post_between_two_control_steps_is_a_collision():
    env = AvoidEnv(max_speed=100.0)
    env.reset(seed=0)
    start = np.array([-0.15, env.posts[0, 1]])
    env._arm.place(start)
    env._arm.model.geom_contype[:] = 0  # the geometric test alone
    env._arm.model.geom_conaffinity[:] = 0
    observation, _, terminated, _, info = env.step(np.array([0.2, start[1]], np.float32))
    gaps = np.linalg.norm(env.posts - observation[:2], axis=1)
    assert observation[0] > 0.1, "it must have jumped over the first post"
    assert (gaps > 0.06).all() and (np.linalg.norm(env.posts - start, axis=1) > 0.06).all()
    assert terminated and info["collision"] and not info["is_success"]


def test_clearance_sees_the_line_between_two_points():
    centres = np.array([[0.0, 0.03], [5.0, 5.0]])
    assert clearance(np.array([[-1.0, 0.0], [1.0, 0.0]]), centres) == pytest.approx(0.03)
    assert clearance(np.array([[1.0, 0.0], [2.0, 0.0]]), centres) == pytest.approx(np.hypot(1.0, 0.03))
    assert clearance(np.array([[0.4, 0.03], [0.4, 0.03]]), centres) == pytest.approx(0.4)


def test_clearance_agrees_with_shapely_on_random_polylines():
    shapely = pytest.importorskip("shapely")
    generator = np.random.default_rng(0)
    for _ in range(50):
        path, centres = generator.normal(size=(6, 2)), generator.normal(size=(3, 2))
        line = shapely.LineString(path)
        expected = min(line.distance(shapely.Point(centre)) for centre in centres)
        assert clearance(path, centres) == pytest.approx(expected, abs=1e-9)


def test_an_episode_without_progress_is_truncated(env):
    env.reset(seed=0)
    for step in range(1, 101):
        _, _, terminated, truncated, info = env.step(np.array([0.0, -0.36], np.float32))
        assert not terminated
        assert truncated == (step == 100)
    assert info == {"is_success": False, "collision": False, "mode": -1}


def test_frames_differ_when_states_differ_and_only_then():
    env = AvoidEnv(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (320, 400, 3) and first.dtype == np.uint8
    assert np.array_equal(first, env.render())
    for _ in range(3):
        env.step(np.array([0.3, -0.3], np.float32))
    assert (first != env.render()).any()
    env.reset(seed=0)
    assert np.array_equal(first, env.render()), "the trail must not survive a reset"


def test_the_scene_is_made_of_plain_numbers(env):
    import json

    scene = json.loads(json.dumps(env.unwrapped.scene()))
    assert [disc["centre"] for disc in scene["discs"]] == env.unwrapped.posts.tolist()
    assert scene["lines"][0]["start"][1] == env.unwrapped.finish_y
    assert env.unwrapped.metadata["modes"] == MODES


def test_a_missing_graphics_library_is_explained(monkeypatch):
    import mujoco

    def fail(*_):
        raise AttributeError("no GL")

    monkeypatch.setattr(mujoco, "Renderer", fail)
    env = AvoidEnv(render_mode="rgb_array", renderer="mujoco")
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match=r"no GL.*MUJOCO_GL=egl.*renderer='drawing'"):
        env.render()


def test_unknown_renderers_and_render_modes_are_refused():
    with pytest.raises(ValueError, match="drawing, mujoco; got 'opengl'"):
        AvoidEnv(renderer="opengl")
    with pytest.raises(ValueError, match=r"rgb_array.*got 'human'"):
        AvoidEnv(render_mode="human")
