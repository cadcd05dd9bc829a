"""Terrain-v0: a robot on semantic maps whose true cost is hidden."""

import os
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import shapely

from embodied_gen.slots import EnvMaker
from envs.cell_graph import CellGraph
from envs.rover import CONTROL_PERIOD, FORCE, GRAVITY, Rover
from envs.terrain import CRASH_PRICE, GOAL_RADIUS, TIME_PRICE, TerrainEnv
from envs.terrain_cost import GREEN, ROADS, true_cost
from envs.terrain_expert import state_of
from envs.terrain_generator import generated
from envs.terrain_map import LAYERS, TerrainMap
from envs.terrain_site import APART, WITHIN

NAME = "embodied/Terrain-v0"
FILE = Path(os.environ.get("EMBODIED_DATA", "nowhere")) / "lanelet2_karlsruhe" / "mapping_example.osm"
OBSTACLE = LAYERS.index("obstacle")


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make(NAME, size=32, render_mode=render_mode))


def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic):
    assert_deterministic(NAME, size=48, near=5)


@pytest.mark.parametrize("preference", ["roads", "green"])
def test_the_expert_reaches_the_goal_at_about_the_least_cost(preference, play):
    env = gymnasium.make(NAME, preference=preference)
    regrets = []
    for seed in range(8):
        observations, actions, info = play(env, env.unwrapped.expert(), seed)
        assert info["is_success"] and not info["collision"]
        regrets.append(info["regret"])
        state = state_of(observations[-1])
        assert np.linalg.norm(state[:2] - state[4:]) <= GOAL_RADIUS + 1e-5
        assert (np.linalg.norm(actions, axis=1) <= 1 + 1e-6).all()
    assert abs(np.mean(regrets)) < 0.03 and max(regrets) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("preference", ["roads", "green"])
def test_the_expert_hardly_ever_fails(preference, play):
    env = gymnasium.make(NAME, preference=preference)
    infos = [play(env, env.unwrapped.expert(), seed)[2] for seed in range(200)]
    assert np.mean([info["is_success"] for info in infos]) >= 0.99
    assert abs(np.mean([info["regret"] for info in infos])) < 0.02


def test_the_expert_finds_back_when_it_is_pushed(play):
    env = gymnasium.make(NAME)
    results = [play(env, env.unwrapped.expert(), seed, noise=0.5)[2] for seed in range(6)]
    assert sum(info["is_success"] for info in results) >= 5


def test_flat_observations_of_any_keys_serve_the_expert():
    """As `collect` uses it: the flat observation ends with the state, whatever else it holds."""
    actions = []
    for keys in (("near", "state"), ("state",), ()):
        env = EnvMaker(NAME, {"size": 32, "near": 7}, ("envs",), keys)()
        observation, _ = env.reset(seed=3)
        expert = env.unwrapped.expert()
        sizes = {(): 6 * 32 * 32 + 6 * 49 + 6, ("state",): 6, ("near", "state"): 6 * 49 + 6}
        assert observation.shape == (sizes[keys],) and observation.dtype == np.float32
        actions.append(expert.act(observation))
    assert np.array_equal(actions[0], actions[1]) and np.array_equal(actions[0], actions[2])


def test_observations_show_the_map_around_the_robot_and_not_the_cost():
    env = TerrainEnv(size=40, near=5)
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        layers, near, state = observation["layers"], observation["near"], observation["state"]
        row, column = np.floor(state[1::-1] / 0.5).astype(int)
        padded = np.pad(layers, ((0, 0), (2, 2), (2, 2)))
        padded[OBSTACLE] = np.pad(layers[OBSTACLE], 2, constant_values=1)
        assert np.array_equal(near, padded[:, row : row + 5, column : column + 5])
        goal = np.floor(state[:3:-1] / 0.5).astype(int)
        for cell in ((row, column), tuple(goal)):
            assert layers[:OBSTACLE, cell[0], cell[1]].any() and not layers[(OBSTACLE, *cell)]
        assert APART <= np.linalg.norm(state[:2] - state[4:]) <= WITHIN
    for preference in (ROADS, GREEN):
        cost = true_cost(env.site.terrain, preference)
        assert not any(np.array_equal(layer, cost) for layer in layers)


def test_other_seeds_give_other_maps_and_preferences_other_costs_of_the_same_map():
    envs = [TerrainEnv(size=32, preference=preference) for preference in ("roads", "green")]
    maps = [env.reset(seed=5)[0]["layers"] for env in envs]
    assert np.array_equal(*maps)
    assert envs[0].site.reference != envs[1].site.reference
    assert not np.array_equal(maps[0], envs[0].reset(seed=6)[0]["layers"])
    assert not np.array_equal(envs[0].site.terrain.layers, envs[0].reset()[0]["layers"]), "and every reset"


def test_rewards_are_the_integral_of_the_true_cost_and_regret_compares_it():
    env = TerrainEnv(size=48)
    observation, info = env.reset(seed=2)
    assert info["cost"] == 0 and info["regret"] == pytest.approx(0)
    costs = true_cost(env.site.terrain, ROADS)
    expert, total, integral = env.expert(), 0.0, 0.0
    done = False
    while not done:
        before = observation["state"][:2].astype(float)
        observation, reward, done, _, info = env.step(expert.act(observation))
        after = observation["state"][:2].astype(float)
        shares = (np.arange(200) + 0.5) / 200
        cells = np.floor((before + shares[:, None] * (after - before))[:, ::-1] / 0.5).astype(int)
        integral += costs[tuple(cells.T)].mean() * np.linalg.norm(after - before)
        total += reward + TIME_PRICE * CONTROL_PERIOD
    assert info["is_success"]
    assert -total == pytest.approx(info["cost"]) and info["cost"] == pytest.approx(integral, rel=0.02)
    start, goal = (env.site.cell_of(place) for place in (env.site.start, env.site.goal))
    ways = CellGraph(costs, cell=0.5).ways_to(goal)
    assert info["reference"] == ways.to_go[start]
    left = ways.to_go[env.site.cell_of(after)]
    assert info["regret"] == pytest.approx((info["cost"] + left) / info["reference"] - 1, abs=1e-6)


@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_leaving_the_map_or_entering_an_obstacle_ends_the_episode(direction):
    env = TerrainEnv(size=32)
    crashes = 0
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            observation, reward, done, truncated, info = env.step(np.array(direction, np.float32))
            assert observation["state"] in env.observation_space["state"]
        assert not truncated and info["is_success"] != info["collision"]
        if info["collision"]:
            crashes += 1
            assert reward <= -CRASH_PRICE and np.isfinite(info["regret"]) and np.isfinite(reward)
            row, column = np.floor(observation["state"][1::-1] / 0.5).astype(int)
            inside = 0 <= row < 32 and 0 <= column < 32
            assert not inside or np.isinf(env.site.costs_at(observation["state"][None, :2])).all()
    assert crashes


def test_the_robot_obeys_its_equation():
    rover = Rover()
    rover.place(np.zeros(2))
    for _ in range(40):
        rover.drive(np.array([3.0, 4.0]), speed=1.5, grade=np.zeros(2))
    assert rover.velocity == pytest.approx([0.9, 1.2], abs=1e-3), "the speed of the ground, at any length of the action"
    rover.place(np.zeros(2))
    for _ in range(40):
        rover.drive(np.zeros(2), speed=1.5, grade=np.array([0.1, -0.2]))
    assert rover.velocity == pytest.approx(np.array([-0.1, 0.2]) * GRAVITY * 1.5 / FORCE, abs=1e-3), "downhill"
    rover.place(np.ones(2))
    first = rover.drive(np.array([1.0, 0.0]), speed=2.0, grade=np.zeros(2))
    rover.place(np.ones(2))
    assert np.array_equal(first, rover.drive(np.array([1.0, 0.0]), speed=2.0, grade=np.zeros(2)))
    assert np.array_equal(first[0], np.ones(2)) and np.array_equal(first[-1], rover.position)
    # The exact solution of m v' = F (1 - v / 2), within the integrator's error.
    exact = 1 + 2 * 0.1 - (2 * 2 / FORCE) * (1 - np.exp(-FORCE / 2 * 0.1))
    assert first[-1, 0] == pytest.approx(exact, abs=0.01)


def test_given_maps_are_shown_in_windows(tmp_path):
    terrain = generated(7, size=96)
    terrain.save(tmp_path / "map.npz")
    env = TerrainEnv(map=tmp_path / "map.npz", size=40)
    again = TerrainEnv(map=terrain, size=40)
    shown = set()
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        layers = observation["layers"]
        assert np.array_equal(layers, again.reset(seed=seed)[0]["layers"])
        windows = np.lib.stride_tricks.sliding_window_view(terrain.layer("slope"), (40, 40))
        (place,) = np.argwhere((windows == layers[-1]).all(axis=(2, 3)))
        row, column = place.tolist()
        assert np.array_equal(layers, terrain.layers[:, row : row + 40, column : column + 40])
        shown.add((row, column))
    assert len(shown) > 1


def test_free_space_is_where_there_is_no_obstacle():
    env = TerrainEnv(size=32, render_mode="rgb_array")
    env.reset(seed=1)
    space, terrain = env.site.free_space(), env.site.terrain
    cells = np.argwhere(np.ones(terrain.shape, bool))
    inside = shapely.contains_xy(space, *terrain.centres_of(cells).T)
    assert np.array_equal(inside, terrain.layer("obstacle")[tuple(cells.T)] == 0)
    assert env.scene()["bounds"] == [[0, 16], [0, 16]] and env.scene()["discs"][0]["role"] == "goal"
    first = env.render()
    assert first.shape == (384, 384, 3) and first.dtype == np.uint8
    env.step(np.ones(2, np.float32))
    assert (first != env.render()).any()
    assert TerrainEnv(size=32).render() is None


def test_before_the_first_reset_there_is_no_map():
    with pytest.raises(ValueError, match="there is no map before the first reset"):
        TerrainEnv().scene()


def test_on_the_steepest_ground_the_robot_stays_within_the_observation_space():
    terrain = generated(0, size=64)
    ramp = np.broadcast_to(5.0 * np.arange(64, dtype=np.float32), (64, 64))
    steep = replace(terrain, elevation=ramp)
    env = TerrainEnv(map=steep, size=64)
    observation, _ = env.reset(seed=0)
    done = False
    while not done:
        observation, _, done, _, info = env.step(np.array([-1, 0], np.float32))
        assert observation in env.observation_space
    assert info["collision"]


def nothing(rows, cell=0.5):
    layers = np.zeros((len(LAYERS), rows, rows), np.float32)
    return TerrainMap(layers, LAYERS, np.zeros((rows, rows), np.float32), cell)


def speck():
    terrain = nothing(40)
    terrain.layers[0, 20, 20:22] = 1
    return terrain


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preference": "sea"}, "preference must be one of roads, green; got 'sea'"),
        ({"size": 8}, r"size must be a whole number in 16\.\.512; got 8"),
        ({"size": "64"}, r"size must be a whole number in 16\.\.512; got '64'"),
        ({"size": 64.5}, r"size must be a whole number in 16\.\.512; got 64.5"),
        ({"near": 11.0}, r"near must be a whole number in 1\.\.64; got 11.0"),
        ({"preference": ["roads"]}, r"preference must be one of roads, green; got \['roads'\]"),
        ({"map": 5}, "map must be a terrain or the path of a file, .osm or .npz; there is no file 5"),
        ({"near": 4}, "near must be an odd number of cells up to 64; got 4"),
        (
            {"map": "nowhere.osm"},
            r"map must be a terrain or the path of a file, .osm or .npz; there is no file nowhere",
        ),
        ({"map": nothing(40)}, r"a map of \(40, 40\) cells has no window of 64 x 64"),
        ({"map": nothing(80, 0.1)}, r"cells must be 0\.2 m or larger, or the robot jumps over them; got 0\.1 m"),
        ({"map": nothing(40), "size": 32}, "nothing of the map can be crossed"),
        ({"render_mode": "human"}, "render_mode must be"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TerrainEnv(**arguments)


def test_maps_without_room_for_a_start_and_a_goal_are_refused(tmp_path):
    with pytest.raises(ValueError, match="none of 100 maps of 32 x 32 cells has connected cells 12 m to 28 m apart"):
        TerrainEnv(map=speck(), size=32).reset(seed=0)
    (tmp_path / "map.npz").write_text("none")
    with pytest.raises(ValueError, match="is no file of a terrain map"):
        TerrainEnv(map=tmp_path / "map.npz")


@pytest.mark.parametrize("action", [[0.5], [0.5, np.nan], [[0.5, 0.5]]])
def test_bad_actions_are_refused(action):
    env = TerrainEnv(size=32)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"2 finite numbers in \[-1, 1\]"):
        env.step(np.array(action))


@pytest.mark.skipif(not FILE.is_file(), reason="EMBODIED_DATA names no folder with a Lanelet2 file")
def test_windows_of_a_real_town_can_be_driven(play):
    env = gymnasium.make(NAME, map=str(FILE), size=64)
    for seed in range(3):
        assert play(env, env.unwrapped.expert(), seed)[2]["is_success"]
