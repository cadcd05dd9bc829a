import os
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import shapely

from envs.boxes import corners
from envs.drawing import RED
from envs.layout import Layout
from envs.maps import read_map
from envs.traffic import STEPS, TrafficEnv

NAME = "embodied/Traffic-v0"
DATA = Path(os.environ.get("EMBODIED_DATA", "nowhere"))
needs_data = pytest.mark.skipif(not (DATA / "commonroad").is_dir(), reason="EMBODIED_DATA names no folder with maps")


def coast(env, action=(0.0, 0.0), steps=STEPS):
    """Steps with one action until the end; the observations and the last step."""
    seen = []
    for _ in range(steps):
        seen.append(env.step(np.array(action, np.float32)))
        if seen[-1][2] or seen[-1][3]:
            break
    return np.array([each[0] for each in seen]), seen[-1]


def standing(agents=2, length=30, x=40.0, gap=20.0):
    """Tracks of vehicles that stand in line on the crossing's arm 0, the ego first."""
    tracks = np.zeros((agents, length, 7))
    tracks[..., 0] = x - gap * np.arange(agents)[:, None]
    tracks[..., 1:] = [1.75, np.pi, 0.0, 4.5, 1.8, 1.0]
    return tracks


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make(NAME, agents=4, render_mode=render_mode))


@pytest.mark.parametrize("source", ["crossing", "merge", ("crossing", "merge")], ids=str)
def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic, source):
    assert_deterministic(NAME, map=source, agents=6, steps=40)


@pytest.mark.parametrize("source", ["crossing", "merge"])
def test_the_expert_succeeds(play, source):
    env = gymnasium.make(NAME, map=source)
    results = [play(env, env.unwrapped.expert(), seed) for seed in range(10)]
    infos = [info for _, _, info in results]
    assert np.mean([info["is_success"] for info in infos]) >= 0.9
    assert np.mean([info["progress"] for info in infos]) > 50
    for observations, actions, info in results:
        assert len(actions) == STEPS or info["collision"] or info["off_road"] or len(actions) > 20
        assert info["is_success"] + info["collision"] + info["off_road"] <= 1
        assert observations.shape[1] == 8 * 67


def test_the_expert_draws_its_habits_from_its_seed_alone():
    env = TrafficEnv()
    observation, _ = env.reset(seed=5)
    expert, other = env.expert(), env.expert()
    actions = []
    for seed in (3, 4, 3):
        expert.reset(seed)
        actions.append(expert.act(observation))
    other.reset(3)
    assert np.array_equal(actions[0], actions[2]) and np.array_equal(actions[0], other.act(observation))
    assert not np.array_equal(actions[0], actions[1])


@pytest.mark.parametrize("agents", [1, 3, 8])
def test_the_layout_takes_an_observation_apart(agents):
    env = TrafficEnv(agents=agents)
    observation, _ = env.reset(seed=1)
    layout = Layout(agents)
    assert env.observation_space.shape == observation.shape == (layout.size,) and observation.dtype == np.float64
    states, routes = layout.states_of(observation), layout.routes_of(observation)
    assert states.shape == (agents, 7) and routes.shape == (agents, 3, 10, 2)
    assert np.array_equal(np.concatenate([states.ravel(), routes.ravel()]), observation)
    assert np.array_equal(layout.states_of(observation[None, None])[0, 0], states)
    distance = np.linalg.norm(states[:, :2] - states[0, :2], axis=1)
    assert (np.diff(distance) >= 0).all() and (states[:, -1] == 1).all()
    for state, ways in zip(states, routes, strict=True):
        found = env.road.routes(state[:2], state[2])
        assert np.array_equal(ways[: len(found)], found) and (ways[len(found) :] == found[0]).all()


def test_others_keep_their_slots_and_go_to_zero_when_they_leave():
    env = TrafficEnv(map="crossing")
    left = 0
    for seed in range(6):
        env.reset(seed=seed)
        observations, _ = coast(env, (-1.0, 0.0))
        states, routes = env.layout.states_of(observations), env.layout.routes_of(observations)
        there = states[..., -1] > 0
        sizes = states[..., 4:6]
        for slot in range(1, 8):
            assert not (np.diff(there[:, slot].astype(int)) > 0).any()
            assert (sizes[there[:, slot], slot] == sizes[0, slot]).all()
            gone = ~there[:, slot]
            assert not states[gone, slot].any() and not routes[gone, slot].any()
            left += gone.any()
            way = np.linalg.norm(np.diff(states[there[:, slot], slot, :2], axis=0), axis=1)
            assert (way < 2.5).all(), "nobody jumps"
    assert left > 0


def test_given_tracks_are_replayed_step_by_step():
    env = TrafficEnv(agents=3)
    generator = np.random.default_rng(0)
    tracks = standing(3, 12)
    tracks[1:, :, 0] += np.cumsum(generator.uniform(-0.5, 0.5, (2, 12)), axis=1)
    tracks[2, 7:, -1] = 0
    observation, _ = env.reset(seed=0, options={"tracks": tracks})
    assert np.array_equal(env.layout.states_of(observation), tracks[:, 0])
    for step in range(1, 15):
        observation, *_ = env.step(np.array([0.0, 0.0], np.float32))
        states = env.layout.states_of(observation)
        assert np.array_equal(states[0], tracks[0, 0]), "the ego stands where its row starts"
        if step < 12:
            assert np.array_equal(states[1], tracks[1, step])
        assert states[2].any() == (step < 7) and states[1].any() == (step < 12)


def test_driving_into_another_is_a_collision_and_ends_the_episode():
    env = TrafficEnv(agents=2)
    env.reset(seed=0, options={"tracks": standing(2, 101, gap=15.0)})
    observations, (_, _, terminated, truncated, info) = coast(env, (1.0, 0.0))
    assert terminated and not truncated and info["collision"] and not info["is_success"] and not info["off_road"]
    boxes = env.layout.states_of(observations[-1])[:, [0, 1, 2, 4, 5]]
    assert shapely.Polygon(corners(boxes[0])).distance(shapely.Polygon(corners(boxes[1]))) < 0.5


def test_a_jump_through_another_between_two_steps_is_a_collision():
    env = TrafficEnv(agents=2)
    tracks = standing(2, 101)
    tracks[1, :, 1] = 1.75 + 12 - 24.0 * np.arange(101)  # across the lane in one step
    tracks[1, :, 2] = -np.pi / 2
    tracks[1, :, 0] = 40.0
    tracks = tracks[:, :10]
    env.reset(seed=0, options={"tracks": tracks})
    _, _, terminated, _, info = env.step(np.zeros(2, np.float32))
    assert terminated and info["collision"]


def test_leaving_the_road_ends_the_episode_where_a_corner_is_off_by_more_than_30_cm():
    env = TrafficEnv(agents=1)
    env.reset(seed=0, options={"tracks": standing(1, 101)})
    observations, (_, _, terminated, _, info) = coast(env, (0.5, -0.5))
    assert terminated and info["off_road"] and not info["is_success"] and not info["collision"]
    off = []
    for observation in observations[-2:]:
        box = env.layout.states_of(observation)[0, [0, 1, 2, 4, 5]]
        off.append(shapely.distance(env.road.drivable, shapely.points(corners(box))).max())
    assert off[0] <= 0.3 < off[1]


def test_leaving_the_map_at_the_end_of_a_road_is_a_success():
    env = TrafficEnv(agents=1)
    tracks = standing(1, 101, x=150.0)
    tracks[..., 1], tracks[..., 2], tracks[..., 3] = -1.75, 0.0, 10.0
    env.reset(seed=0, options={"tracks": tracks})
    observations, (_, _, terminated, _, info) = coast(env)
    assert terminated and info["is_success"] and len(observations) < STEPS


def test_a_reward_is_the_share_of_the_limit_and_standing_still_is_no_success():
    env = TrafficEnv(agents=1)
    tracks = standing(1, 101, x=150.0)
    tracks[..., 3] = 5.0
    tracks[..., 0] -= 0.5 * np.arange(101)
    env.reset(seed=0, options={"tracks": tracks})
    _, reward, _, _, info = env.step(np.zeros(2, np.float32))
    assert reward == pytest.approx(5 / (50 / 3.6)) and info["progress"] == pytest.approx(0.5)
    _, (_, _, terminated, truncated, info) = coast(env)
    assert truncated and not terminated and info["is_success"] and info["progress"] == pytest.approx(50)
    env.reset(seed=0, options={"tracks": tracks})
    observations, (_, reward, _, truncated, info) = coast(env, (-1.0, 0.0))
    assert truncated and len(observations) == STEPS and not info["is_success"] and reward == 0


def test_frames_show_the_vehicles_and_a_failure_in_red():
    env = TrafficEnv(agents=2, render_mode="rgb_array")
    env.reset(seed=0, options={"tracks": standing(2, 101, gap=6.0)})
    first = env.render()
    coast(env, (1.0, 0.0))
    last = env.render()
    assert first.shape == (400, 400, 3) and (first != last).any()
    assert not (first == RED).all(-1).any() and (last == RED).all(-1).any()
    assert TrafficEnv().render() is None


def test_the_scene_is_the_outline_of_the_road():
    scene = TrafficEnv().scene()
    length = sum(np.linalg.norm(np.subtract(line["end"], line["start"])) for line in scene["lines"])
    assert length == pytest.approx(TrafficEnv().road.drivable.length)
    assert {line["role"] for line in scene["lines"]} == {"road"} and np.array(scene["bounds"]).shape == (2, 2)


def test_several_maps_are_drawn_by_seed():
    env = TrafficEnv(map=["crossing", "merge"], agents=2)
    names = []
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        assert observation in env.observation_space
        names.append(env.road.name)
    assert set(names) == {"crossing", "merge"}


def test_a_step_takes_milliseconds():
    env = TrafficEnv()
    env.reset(seed=0)
    times = []
    for _ in range(60):
        start = time.perf_counter()
        env.step(np.zeros(2, np.float32))
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.01, "2 ms on a quiet core"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TrafficEnv(map="nowhere"),
            "a map must be one of crossing, merge or the path of a file; got 'nowhere'",
        ),
        (lambda: TrafficEnv(map=5), "a map must be one of crossing, merge or the path of a file; got 5"),
        (lambda: TrafficEnv(map=["crossing", 3]), "a map must be one of crossing, merge or the path of a file; got 3"),
        (lambda: TrafficEnv(agents=True), r"agents must be a whole number in 1..64; got True"),
        (lambda: TrafficEnv(map=[]), "map must name at least one map; got none"),
        (lambda: TrafficEnv(agents=0), r"agents must be a whole number in 1..64; got 0"),
        (lambda: TrafficEnv(others="none"), "others must be one of idm, recorded; got 'none'"),
        (lambda: TrafficEnv(others="recorded"), "crossing has no recorded vehicles; use others='idm'"),
        (lambda: TrafficEnv(render_mode="human"), 'render_mode must be "rgb_array" or None'),
        (lambda: replay(standing(3)), r"tracks must have shape \(2, T, 7\), T >= 1; got \(3, 30, 7\)"),
        (lambda: replay(standing() * np.nan), "tracks must be finite and lie within"),
        (lambda: replay(standing() + 1e4), "tracks must be finite and lie within"),
        (lambda: replay(standing() * [1, 1, 1, 1, 1, 1, 0]), "tracks must begin with a valid ego in row 0"),
        (lambda: replay(standing(), name="track"), 'options may hold "tracks" alone; got track'),
        (lambda: ready().step(np.array([np.nan, 0.0])), "An action must be 2 finite numbers"),
        (lambda: ready().step(np.zeros(3)), "An action must be 2 finite numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def ready():
    env = TrafficEnv(agents=2)
    env.reset(seed=0)
    return env


def replay(tracks, name="tracks"):
    return TrafficEnv(agents=2).reset(seed=0, options={name: tracks})


@needs_data
def test_recordings_are_repeated_around_one_of_their_vehicles(assert_deterministic, play):
    source = str(DATA / "commonroad" / "USA_US101-4_1_T-1.xml")
    assert_deterministic(NAME, map=source, others="recorded", steps=20)
    env = TrafficEnv(map=source, others="recorded")
    tracks = read_map(source).tracks
    observation, _ = env.reset(seed=1)
    for _ in range(10):
        for state in env.layout.states_of(observation)[1:]:
            if state[-1]:
                known = [track.states for track in tracks if (track.length, track.width) == tuple(state[4:6])]
                assert min(np.abs(states - state[:4]).max(1).min() for states in known) < 1e-9
        observation, *_ = env.step(np.zeros(2, np.float32))


@needs_data
@pytest.mark.parametrize("name", ["commonroad/USA_Lanker-1_1_T-1.xml", "lanelet2_karlsruhe/mapping_example.osm"])
def test_the_expert_drives_on_real_maps(play, name):
    env = gymnasium.make(NAME, map=str(DATA / name))
    assert np.mean([play(env, env.unwrapped.expert(), seed)[2]["is_success"] for seed in range(8)]) >= 0.75
