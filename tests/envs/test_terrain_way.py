"""TerrainWay-v0: the maps of Terrain-v0, and a whole way as one action."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.cell_graph import CellGraph
from envs.terrain import CRASH_PRICE, TerrainEnv
from envs.terrain_cost import PREFERENCES, true_cost
from envs.terrain_way import TerrainWayEnv

NAME = "embodied/TerrainWay-v0"


def asked(env, way):
    """The result of a way `(L, 2)`, its last way-point repeated."""
    padded = np.pad(way, ((0, env.moves + 1 - len(way)), (0, 0)), mode="edge")
    return env.step(padded.astype(np.float32).ravel())


def test_gymnasium_has_no_complaint_but_that_actions_are_metres():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space")
        check_env(gymnasium.make(NAME, size=32, moves=40, render_mode="rgb_array").unwrapped)


def test_pictures_show_the_last_way():
    env = gymnasium.make(NAME, size=32, moves=40, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    first = env.render()
    assert first.shape == (384, 384, 3) and first.dtype == np.uint8
    expert = env.unwrapped.expert()
    env.step(expert.act(observation))
    way = env.render()
    env.reset(seed=0)
    assert np.array_equal(env.render(), first) and (way != first).any()
    env.step(np.zeros(82, np.float32))
    assert (env.render() != way).any() and (env.render() != first).any()
    assert TerrainWayEnv().render() is None


def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic):
    assert_deterministic(NAME, size=48, moves=60)


@pytest.mark.parametrize("preference", ["roads", "green"])
def test_its_maps_are_those_of_terrain_and_its_expert_pays_the_reference(preference, play):
    env, other = TerrainWayEnv(preference=preference), TerrainEnv(preference=preference)
    for seed in range(6):
        observations, actions, info = play(env, env.expert(), seed)
        seen, _ = other.reset(seed=seed)
        assert np.array_equal(observations[0], np.concatenate([seen["layers"].ravel(), seen["state"][[0, 1, 4, 5]]]))
        assert info["is_success"] and len(actions) == 1
        # Over cells a move costs the mean of its two cells; read along the line a diagonal may graze a third.
        assert abs(info["regret"]) < 0.02 and info["cost"] == pytest.approx(info["reference"], rel=0.02)


def test_the_cost_of_a_way_is_the_integral_of_the_true_cost_however_it_is_cut():
    env = TerrainWayEnv(size=40)
    env.reset(seed=4)
    way = env.site.way_from(env.site.start)
    graph = CellGraph(true_cost(env.site.terrain, PREFERENCES["roads"]), cell=0.5)
    whole = asked(env, way)[4]["cost"]
    corners = [0, *[k for k in range(1, len(way) - 1) if (way[k + 1] - way[k] != way[k] - way[k - 1]).any()], -1]
    assert asked(env, way[corners])[4]["cost"] == pytest.approx(whole, rel=1e-3)
    assert whole == pytest.approx(graph.cost_of(env.site.terrain.cells_of(way)), rel=0.02)
    reward = asked(env, way)[1]
    assert reward == pytest.approx(-whole)


def test_ways_that_begin_or_end_elsewhere_or_enter_obstacles_fail():
    env = TerrainWayEnv(size=40)
    env.reset(seed=4)
    way = env.site.way_from(env.site.start)
    assert asked(env, way)[4]["is_success"]
    short, late = asked(env, way[:-3]), asked(env, way[3:])
    assert not short[4]["is_success"] and not short[4]["collision"] and short[4]["regret"] < 0.1
    assert not late[4]["is_success"] and late[1] < -CRASH_PRICE
    row, column = np.argwhere(np.isinf(true_cost(env.site.terrain, PREFERENCES["roads"])))[0]
    rock = env.site.terrain.centres_of(np.array([row, column]))
    reward, info = asked(env, np.stack([way[0], rock, way[-1]]))[1::3]
    assert info["collision"] and not info["is_success"] and reward < -CRASH_PRICE and np.isfinite(info["regret"])
    still = asked(env, way[:1])
    assert still[4]["cost"] == 0 and still[4]["regret"] == pytest.approx(0) and not still[4]["is_success"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TerrainWayEnv(moves=0), r"moves must be a whole number in 1\.\.10000; got 0"),
        (lambda: TerrainWayEnv(moves=2.5), r"moves must be a whole number in 1\.\.10000; got 2.5"),
        (lambda: TerrainWayEnv(render_mode="human"), 'render_mode must be "rgb_array" or None'),
        (lambda: TerrainWayEnv(preference="mud"), "preference must be one of roads, green; got 'mud'"),
        (lambda: TerrainWayEnv(size=8), r"size must be a whole number in 16\.\.512; got 8"),
        (lambda: TerrainWayEnv(map="nowhere.osm"), "there is no file nowhere.osm"),
        (lambda: TerrainWayEnv().site, "there is no map before the first reset"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_actions_of_another_size_are_refused():
    env = TerrainWayEnv(size=32, moves=10)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="An action must be 22 finite numbers"):
        env.step(np.zeros(4, np.float32))
