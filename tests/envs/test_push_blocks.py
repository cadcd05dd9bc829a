import math

import gymnasium
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from envs.push_blocks import ZONE_RADIUS, PushBlocksEnv, corners
from envs.push_expert import ORDERS, heading_error
from envs.push_table import HALF_SIDE, TIP_RADIUS, WORKSPACE, PushTable

NAME = "embodied/PushBlocks-v0"


@pytest.fixture(scope="module")
def env():
    return gymnasium.make(NAME)


def orders_of(env, play, seeds):
    expert, orders, others = env.unwrapped.expert(), [], 0
    for seed in seeds:
        expert.reset(seed)
        drawn = 2 * expert._cube + expert._target
        _, _, info = play(env, expert, seed)
        assert info["is_success"] and info["p1"] and info["p2"]
        others += info["mode"] != drawn
        orders.append(info["mode"])
    assert others <= len(seeds) // 100, "a cube that is carried past a zone may be counted there first, hardly ever"
    return np.bincount(orders, minlength=ORDERS)


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_has_no_complaint(assert_clean, render_mode):
    assert_clean(gymnasium.make(NAME, render_mode=render_mode))


def test_an_episode_depends_on_its_seed_and_actions_only(assert_deterministic):
    assert_deterministic(NAME, steps=60)


def test_the_expert_succeeds_in_the_order_that_it_drew(env, play):
    assert (orders_of(env, play, range(16)) > 0).all()


@pytest.mark.slow
def test_the_expert_takes_all_orders_equally_often(env, play):
    counts = orders_of(env, play, range(400))
    assert (np.abs(counts - 100) < 4 * math.sqrt(75)).all()


@pytest.mark.parametrize("order", range(ORDERS))
def test_every_order_can_be_taken_from_every_start_even_with_noise(env, play, order):
    expert = env.unwrapped.expert(order=order)
    for seed in range(2):
        _, _, info = play(env, expert, seed, noise=0.002 * (seed % 2))
        assert info == {"is_success": True, "p1": True, "p2": True, "mode": order}


def test_one_cube_is_worth_half_and_both_end_the_episode(env):
    expert = env.unwrapped.expert(order=3)
    observation, info = env.reset(seed=1)
    expert.reset(1)
    assert info == {"is_success": False, "p1": False, "p2": False, "mode": -1}
    rewards, terminated = [], False
    while not terminated:
        observation, reward, terminated, truncated, info = env.step(expert.act(observation))
        rewards.append(reward)
        assert info["p1"] == (sum(rewards) > 0) and info["p2"] == info["is_success"] == terminated
        assert info["mode"] == (3 if info["p1"] else -1)
        assert not truncated
    assert [reward for reward in rewards if reward] == [0.49, 0.51]
    offset = observation[:6].reshape(2, 3)[:, None, :2] - observation[10:].reshape(2, 3)[None, :, :2]
    assert ((np.linalg.norm(offset, axis=-1) < ZONE_RADIUS) == np.eye(2, dtype=bool)).all(), "cube 1 in zone 1"


def test_both_cubes_in_one_zone_are_no_success():
    env = PushBlocksEnv()
    env.reset(seed=0)
    x, y, _ = env._zones[0]
    env._table.place(np.array([0.3, -0.4]), np.array([[x + 0.022, y, 0], [x - 0.022, y, 0]]))
    _, reward, terminated, _, info = env.step(np.zeros(2, np.float32))
    assert (reward, terminated) == (0.49, False)
    assert info == {"is_success": False, "p1": True, "p2": False, "mode": 0}


def test_starts_keep_their_distances(env):
    starts = np.array([env.reset(seed=seed)[0] for seed in range(300)])
    cubes, zones = starts[:, :6].reshape(-1, 2, 3), starts[:, 10:].reshape(-1, 2, 3)
    assert (np.abs(cubes[:, 0, 0] - cubes[:, 1, 0]) > 0.1).all()
    assert (cubes[..., :2] >= [0.3, -0.35]).all() and (cubes[..., :2] <= [0.5, -0.05]).all()
    assert np.ptp(cubes[..., 2]) > 0.95 * math.pi
    assert (np.linalg.norm(zones[:, 0, :2] - zones[:, 1, :2], axis=1) > 2 * ZONE_RADIUS).all()
    left = zones[:, 0, 0] < zones[:, 1, 0]
    assert 0.4 < left.mean() < 0.6
    assert np.array_equal(starts[:, 6:8], np.tile([0.3, -0.4], (300, 1)))


def test_the_order_does_not_follow_from_the_start(env):
    """The environment and the expert are given one seed; their draws must have nothing in common."""
    expert, starts, orders = env.unwrapped.expert(), [], []
    for seed in range(400):
        starts.append(env.reset(seed=seed)[0][0])
        expert.reset(seed)
        orders.append(2 * expert._cube + expert._target)
    assert np.abs(np.corrcoef(starts, orders)[0, 1]) < 4 / math.sqrt(400)


def test_cubes_rest_without_a_push_and_the_tip_reaches_its_set_point():
    table = PushTable()
    cubes = np.array([[0.35, 0.1, 0.3], [0.5, 0.1, 2.0]])
    table.place(np.array([0.3, -0.4]), cubes)
    for _ in range(10):
        table.drive(np.array([0.5, -0.3]))
    assert table.cubes == pytest.approx(cubes, abs=1e-4)
    assert table.tip == pytest.approx([0.5, -0.3], abs=1e-4)
    table.drive(np.array([9.0, -9.0]))
    assert np.array_equal(table.setpoint, [WORKSPACE[1, 0], WORKSPACE[0, 1]])


def test_a_push_through_the_centre_moves_a_cube_straight_and_friction_stops_it():
    table = PushTable()
    table.place(np.array([0.4, -0.1]), np.array([[0.4, 0.0, 0.0], [0.6, 0.4, 0.0]]))
    for y in np.arange(-0.08, 0.101, 0.02):
        table.drive(np.array([0.4, y]))
    x, y, yaw = table.cubes[0]
    for _ in range(10):
        table.drive(np.array([0.4, 0.1]))
    touching = 0.1 + TIP_RADIUS + HALF_SIDE
    assert table.cubes[0, 1] == pytest.approx(touching, abs=0.005)
    assert abs(table.cubes[0, 1] - y) < 0.02
    assert (x, min(yaw, math.pi - yaw)) == pytest.approx((0.4, 0.0), abs=1e-3)


@given(st.floats(-7, 7), st.floats(-7, 7))
def test_the_heading_error_is_the_turn_that_aligns_a_side(yaw, direction):
    error = heading_error(yaw, np.array([math.cos(direction), math.sin(direction)]))
    assert -math.pi / 4 - 1e-9 <= error <= math.pi / 4 + 1e-9
    turns = (direction - yaw - error) / (math.pi / 2)
    assert turns == pytest.approx(round(turns), abs=1e-6)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-4, 4))
def test_corners_are_those_of_a_square_about_the_cube(x, y, yaw):
    square = shapely.Polygon(corners(np.array([x, y, yaw])))
    assert square.area == pytest.approx(4 * HALF_SIDE**2)
    assert (square.centroid.x, square.centroid.y) == pytest.approx((x, y))
    turned = shapely.affinity.rotate(shapely.box(*[-HALF_SIDE] * 2, *[HALF_SIDE] * 2), yaw, (0, 0), use_radians=True)
    assert shapely.affinity.translate(turned, x, y).symmetric_difference(square).area < 1e-9


def test_frames_show_the_cubes():
    env = PushBlocksEnv(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    env.reset(seed=1)
    assert first.shape == (660, 390, 3) and (first != env.render()).any()
    assert PushBlocksEnv().render() is None


@pytest.mark.parametrize("order", [-1, ORDERS, 7])
def test_an_order_that_there_is_not_is_named(order):
    with pytest.raises(ValueError, match=rf"order must lie in 0\.\.3, or be None for random ones; got {order}"):
        PushBlocksEnv().expert(order=order)


def test_bad_actions_are_refused():
    env = PushBlocksEnv()
    env.reset(seed=0)
    for action in ([0.1], [np.inf, 0.0]):
        with pytest.raises(ValueError, match="2 finite numbers"):
            env.step(np.array(action))
