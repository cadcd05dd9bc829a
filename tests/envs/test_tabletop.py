import gymnasium
import numpy as np
import pytest
import torch

from envs.tabletop import TabletopEnv
from envs.tabletop_cup import LARGEST_TILT, _raised
from planners import BoxGrasp

NAME = "embodied/Tabletop-v0"


@pytest.fixture(scope="module")
def env(photographer):
    made = gymnasium.make(NAME)
    yield made
    made.close()


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(photographer, assert_clean, render_mode):
    assert_clean(gymnasium.make(NAME, render_mode=render_mode))


def test_an_episode_depends_on_its_seed_and_actions_only(photographer, assert_deterministic):
    assert_deterministic(NAME, steps=2)


def middle(box, view):
    return ((box[:2] + box[2:]) / 2 / view.camera.size).astype(np.float32)


def test_the_expert_picks_what_is_asked_for(env, play):
    for seed in range(6):
        _, _, info = play(env, env.unwrapped.expert(), seed)
        assert info["is_success"] and info["lifted"] == 1


@pytest.mark.slow
def test_the_expert_hardly_ever_fails(env, play):
    assert sum(play(env, env.unwrapped.expert(), seed)[2]["is_success"] for seed in range(200)) >= 190


def test_a_place_on_the_outline_of_the_true_box_mostly_fails(env):
    successes = 0
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        view, expert = env.unwrapped.view(), env.unwrapped.expert()
        expert.reset(seed)
        at = expert.act(observation)
        box = view.boxes[np.abs((view.boxes[:, :2] + view.boxes[:, 2:]) / 2 / view.camera.size - at).sum(1).argmin()]
        angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
        way = np.array([np.cos(angle), np.sin(angle)])
        off = way / np.abs(way).max() / 2 * (box[2:] - box[:2]) / view.camera.size
        successes += env.step((at + off).astype(np.float32))[4]["is_success"]
    assert successes <= 3


def test_a_thing_of_another_class_ends_the_episode_without_success(env):
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        view, scene = env.unwrapped.view(), env.unwrapped._scene
        others = (view.labels != observation["target"].argmax()) & ~scene.covered()[view.things]
        other = int(np.flatnonzero(others)[0])
        before = scene.poses
        _, reward, terminated, _, info = env.step(middle(view.boxes[other], view))
        if info["lifted"] == 1:
            assert (info["is_success"], reward, terminated) == (False, 0.0, True)
            assert info["picked"] == view.labels[other]
            rise = scene.poses[:, 2] - before[:, 2]
            assert rise.argmax() == view.things[other] and rise.max() > 0.1
            return
    raise AssertionError("no other thing could be lifted")


def test_nothing_is_lifted_where_there_is_nothing_and_three_attempts_are_all(env):
    observation, info = env.reset(seed=1)
    before = env.unwrapped._scene.poses
    assert info == {"is_success": False, "lifted": 0, "picked": -1} and observation["gripper"][3] == 0
    away = np.array([0.5, 0.999], np.float32)  # in front of the tray
    for attempt in range(3):
        observation, reward, terminated, truncated, info = env.step(away)
        assert (reward, terminated, truncated) == (0.0, False, attempt == 2)
        assert info == {"is_success": False, "lifted": 0, "picked": -1}
        assert observation["gripper"][:3] == pytest.approx([-0.4, 0, 0.2], abs=0.01), "the cup is home again"
    moved = np.linalg.norm(env.unwrapped._scene.poses[:, :3] - before[:, :3], axis=1)
    assert moved.max() < 0.02 and np.median(moved) < 0.003, "and the things about where they were"


def test_the_expert_aims_where_boxes_alone_say(env):
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        view, expert = env.unwrapped.view(), env.unwrapped.expert()
        boxes = torch.from_numpy(view.boxes[view.labels == observation["target"].argmax()])
        expert.reset(seed)
        largest = boxes[(boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()]
        place = BoxGrasp(view.camera.size).choose(largest[None, None])
        assert place.at[0].numpy() == pytest.approx(expert.act(observation), abs=1e-6)


def test_the_class_is_asked_for_that_can_be_picked(env):
    for seed in range(6):
        observation, _ = env.reset(seed=seed)
        view = env.unwrapped.view()
        free = ~env.unwrapped._scene.covered()[view.things]
        assert observation["target"].argmax() in view.labels[free]
        assert observation["target"].sum() == 1 and np.array_equal(observation["rgb"], view.rgb)


def test_a_steep_normal_is_raised_and_others_are_kept():
    for tilt in np.linspace(0, np.pi, 19):
        normal = np.array([np.sin(tilt) * 0.6, np.sin(tilt) * 0.8, np.cos(tilt)])
        raised = _raised(normal)
        assert np.linalg.norm(raised) == pytest.approx(1) or tilt > 3
        assert np.arccos(np.clip(raised[2], -1, 1)) == pytest.approx(min(tilt, LARGEST_TILT))
        assert raised[0] * normal[1] == pytest.approx(raised[1] * normal[0])


def test_frames_are_the_pictures(photographer):
    env = TabletopEnv(size=(64, 48), things=(1, 2), render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    assert np.array_equal(env.render(), observation["rgb"]) and env.render().shape == (48, 64, 3)
    env.close()


def test_bad_arguments_and_actions_are_refused(env):
    with pytest.raises(ValueError, match="things must be at least 1, for there must be one to pick"):
        TabletopEnv(things=(0, 3))
    with pytest.raises(ValueError, match="things must be a smallest and a largest number"):
        TabletopEnv(things=(5, 3))
    with pytest.raises(ValueError, match=r"things must be a smallest and a largest number .*; got 4"):
        TabletopEnv(things=4)
    with pytest.raises(ValueError, match="render_mode must be"):
        TabletopEnv(render_mode="human")
    env.reset(seed=0)
    for action in ([0.1], [np.nan, 0.0]):
        with pytest.raises(ValueError, match="2 finite numbers in"):
            env.unwrapped.step(np.array(action))
