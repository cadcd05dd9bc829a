"""A driver by scenes: how it steers, brakes where nothing holds, and weighs what others may do."""

import numpy as np
import pytest
import torch

from planners import SpeedLimit, guide_of
from planners.braking import braked
from planners.constraints import KeepInBox
from planners.scene_driver import SceneDriver, Steering, aimed, risk
from planners.scenes import OfAgents
from tests.planners.scene_models import model_of, seen


def bicycle(state, action, period=0.1):
    """The vehicle of Traffic-v0, written down once more."""
    x, y, heading, speed, length = state[:5]
    after = max(speed + (6 if action[0] >= 0 else 8) * action[0] * period, 0)
    slip = np.arctan(np.tan(0.6 * action[1]) / 2)
    way = period * (speed + after) / 2
    turn = 2 * way * np.sin(slip) / (0.6 * length)
    direction = heading + turn / 2 + slip
    moved = [x + way * np.cos(direction), y + way * np.sin(direction), heading + turn, after]
    return np.array([*moved, *state[4:]])


@pytest.mark.parametrize(("speed", "turn"), [(8.0, 0.3), (4.0, -0.5), (12.0, 0.0), (2.0, 0.4)])
def test_steering_follows_an_arc_from_beside_it(speed, turn):
    t = 0.1 * np.arange(60)
    heading = turn * t
    position = np.cumsum(0.1 * speed * np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    rest = np.tile([speed, 4.5, 1.9, 1.0], (60, 1))
    wanted = aimed(np.concatenate([position, heading[:, None], rest], 1))
    state = np.array([0.0, 0.3, 0.1, speed * 0.8, 4.5, 1.9, 1.0])
    steering = Steering()
    for step in range(50):
        action = steering.act(state[None], wanted[step : step + 1])[0]
        assert np.abs(action).max() <= 1
        state = bicycle(state, action)
    across = (state[1] - wanted[49, 1]) * np.cos(heading[49]) - (state[0] - wanted[49, 0]) * np.sin(heading[49])
    assert abs(across) < 0.25 and abs(state[3] - speed) < 0.1


def test_episodes_are_driven_alike_whatever_lies_beside_them():
    def guides(last):
        return guide_of([OfAgents(SpeedLimit(20.0, 0.2), [0])])

    driver = SceneDriver(model_of(), Steering(), guides, candidates=4, block=2)
    flat = seen(3)
    together = [driver.remember(seed, flat[seed, 0].numpy()) for seed in range(3)]
    actions = driver.plan(together)
    assert actions.shape == (3, 1, 2) and driver.plans == 3
    for seed in range(3):
        alone = driver.with_block(2)
        action = alone.plan([alone.remember(seed, flat[seed, 0].numpy())])
        np.testing.assert_array_equal(action[0], actions[seed])


def test_risk_is_the_share_of_others_futures_with_a_collision():
    lane = torch.tensor([0.0, 0.0, 0.0, 5.0, 4.0, 2.0, 1.0]).expand(1, 1, 2, 6, 7).clone()
    lane[0, 0, 0, :, 0] = torch.arange(6.0)  # the driven agent
    lane[0, 0, 1, :, 0] = 30 + torch.arange(6.0)
    still = lane.clone()
    still[0, 0, 0, :, 0] = -20.0
    scenes = torch.cat([lane, still], 1)
    near = lane.clone()
    near[0, 0, 1, :, 0] = 8.0  # stands in the way of the first
    others = torch.cat([lane, near, near, near], 1)
    assert risk(scenes, others).tolist() == [[0.75, 0.0]]


def test_where_no_scene_holds_the_driven_agent_brakes_on_its_last_way():
    impossible = guide_of([OfAgents(KeepInBox((900.0, 900.0), (901.0, 901.0)), [0])])
    guides = [None, impossible]
    driver = SceneDriver(model_of(), Steering(), lambda _: guides[0], candidates=2, replan=2, braking=5.0)
    memory = driver.remember(0, seen(1)[0, 0].numpy())
    driver.plan([memory])
    free = memory.chunks[0].values
    memory.see(np.repeat(memory.observations[-1:], 2, axis=0))
    guides.reverse()
    driver.plan([memory])
    assert driver.infeasible == 1 and not memory.chunks[0].feasible
    speed = memory.observations[-1, 3]
    braking = memory.chunks[0].values
    np.testing.assert_allclose(braking[:, 3], np.maximum(speed - 0.5 * np.arange(1, 9), 0), atol=1e-5)
    expected = braked(memory.observations[-1, :7], free[2:, :7], 5.0, period=0.1, steps=8)
    np.testing.assert_array_equal(braking[:, :7], expected)


@pytest.mark.parametrize(
    ("changes", "got"), [({"candidates": 0}, "0, 5, 0.1 and 6.0"), ({"braking": 0.0}, "8, 5, 0.1 and 0.0")]
)
def test_impossible_numbers_of_a_driver_are_refused(changes, got):
    sentence = f"candidates and replan must be at least 1, period and braking positive; got {got}"
    with pytest.raises(ValueError, match=sentence):
        SceneDriver(model_of(), Steering(), **changes)
