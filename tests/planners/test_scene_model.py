"""Scene models: what is drawn begins with what was seen, and a guide on scenes is followed by every head."""

import numpy as np
import pytest
import torch

from embodied_gen import draws, experiment
from embodied_gen.demos.scenes import Scenes
from embodied_gen.encoder import StateEncoder
from embodied_gen.events import Trajectory
from embodied_gen.events.scene import motions_of
from embodied_gen.heads import Guide, RegressionHead
from embodied_gen.nets import ResidualMLP
from embodied_gen.predictor import Predictor
from planners import SpeedLimit, guide_of
from planners.attributes import Fixed
from planners.collisions import NoCollision
from planners.scene_driver import SceneDriver, Steering, aimed, risk
from planners.scene_model import SceneModel, on_motions
from planners.scenes import OfAgents
from tests.scenes import episodes, moving, observations_of

A, T = 3, 4
HEADS = ["denoising", "mixture", "regression", "two_step"]


def model_of(head="denoising"):
    """A model that has seen nothing but the bounds of the data."""
    config = experiment.parse(
        {
            "name": "scene",
            "env": {"id": "embodied/Traffic-v0"},
            "data": {"dataset": "embodied/scene/idm-v0"},
            "event": {"kind": "scene"},
            "net": {"kind": "scene", "width": 16, "depth": 1, "heads": 2},
            "head": {"kind": head},
            "control": {"kind": "scene", "agents": A, "history": 3, "horizon": T},
        },
        "scene",
    )
    data = Scenes(episodes((40, 40)), agents=A, history=3, horizon=T, stride=2)
    return SceneModel(experiment.build(config, data), history=3, stride=2)


def seen(rows=2):
    return observations_of(moving(5, A, 5, rows)).float()


@pytest.mark.parametrize("head", HEADS)
def test_scenes_begin_with_the_present_and_keep_sizes(head):
    drawn = model_of(head).draw(seen(), 3, generator=draws.generator(0))
    assert drawn.scenes.shape == (2, 3, A, 1 + T, 7) and drawn.feasible.all()
    present = seen()[:, -1, : A * 7].view(2, 1, A, 7).expand(2, 3, A, 7)
    torch.testing.assert_close(drawn.scenes[..., 0, :], present)
    torch.testing.assert_close(drawn.scenes[..., 4:], present[..., None, 4:].expand(2, 3, A, 1 + T, 3))


@pytest.mark.parametrize("head", HEADS)
def test_one_guide_on_scenes_is_followed_by_every_head(head):
    limit = OfAgents(SpeedLimit(6.0, 0.2))
    model = model_of(head)
    drawn = model.draw(seen(), 8, generator=draws.generator(0), guide=guide_of([limit, NoCollision()]))
    assert drawn.feasible.equal(drawn.margin >= 0) and drawn.scenes.isfinite().all()
    torch.testing.assert_close(drawn.margin.clamp(max=0), _margin(drawn.scenes, limit).clamp(max=0), atol=2e-3, rtol=0)


def _margin(scenes, limit):
    return torch.minimum(limit.margin(scenes), NoCollision().margin(scenes))


def test_given_values_are_met_to_their_tolerance():
    model = model_of()
    values = torch.zeros(1 + T, 7)
    values[1:3, 3] = 5.0
    mask = values > 0
    guide = guide_of([OfAgents(Fixed(values, mask, 0.05), [1])])
    drawn = model.draw(seen(1), 4, generator=draws.generator(0), guide=guide)
    assert drawn.feasible.all()
    assert (drawn.scenes[:, :, 1, 1:3, 3] - 5).abs().max() <= 0.05


def test_a_guide_on_scenes_says_the_same_of_motions():
    model = model_of()
    drawn = model.draw(seen(), 3, generator=draws.generator(0))
    present = drawn.scenes[:, :1, :, 0]
    guide = Guide(cost=lambda y: y[..., 0].sum((2, 3)), margins=lambda y: y[..., 3].flatten(2) - 1, scale=3.0)
    moved = on_motions(guide, present)
    assert moved.scale == 3.0 and moved.project is None and moved.certify is None
    y = motions_of(drawn.scenes)
    torch.testing.assert_close(moved.cost(y), guide.cost(drawn.scenes), rtol=1e-5, atol=1e-2)
    torch.testing.assert_close(moved.margins(y), guide.margins(drawn.scenes), rtol=0, atol=1e-4)


def test_what_is_no_scene_model_is_refused():
    model = model_of()
    with pytest.raises(ValueError, match=r"the last 5 control steps, shape \(B, 5, O\); got \(2, 3,"):
        model.draw(seen()[:, :3], generator=draws.generator(0))
    net = ResidualMLP(horizon=2, channels_in=2, channels_out=2, context=2, width=8, depth=1)
    chunks = Predictor(
        StateEncoder(1, torch.zeros(2), torch.ones(2)), RegressionHead(Trajectory(2, [-1.0] * 2, [1.0] * 2), net)
    )
    with pytest.raises(ValueError, match="a scene model predicts scenes; got a predictor of Trajectory"):
        SceneModel(chunks, history=1, stride=1)


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
    with pytest.raises(ValueError, match="candidates and replan must be at least 1; got 0 and 5"):
        SceneDriver(model_of(), Steering(), candidates=0)


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
