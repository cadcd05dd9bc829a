"""The scene transformer commutes with turns, shifts and the order of agents, and does not see the absent."""

import pytest
import torch

from embodied_gen import experiment
from embodied_gen.encoder import SceneEncoder
from embodied_gen.experiment import Sizes
from embodied_gen.nets import SceneTransformer
from tests.scenes import moved, moving, observations_of

A, T = 4, 5


def net_and_encoder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = SceneEncoder(3, A, observations_of(moving(0, A)).shape[-1])
        net = SceneTransformer(
            agents=A, horizon=T, channels_in=4, channels_out=6, context=encoder.width, width=16, depth=2, heads=2
        )
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return net.double(), encoder.double()


def inputs(rows=3):
    g = torch.Generator().manual_seed(3)
    return torch.randn(rows, A, T, 4, generator=g).double(), torch.rand(rows, generator=g).double()


def answer(scenes, x, t):
    net, encoder = net_and_encoder()
    return net(x, t, encoder(observations_of(scenes)))


def test_a_turned_and_shifted_scene_is_answered_alike():
    scenes, (x, t) = moving(1, A, 3, 3), inputs()
    expected = answer(scenes, x, t)
    assert expected.shape == (3, A, T, 6)
    torch.testing.assert_close(answer(moved(scenes, 1.3, (400.0, -70.0)), x, t), expected, rtol=0, atol=1e-8)


def test_the_order_of_agents_is_the_order_of_answers():
    scenes, (x, t) = moving(1, A, 3, 3), inputs()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(answer(scenes[:, order], x[:, order], t), answer(scenes, x, t)[:, order])


def test_agents_see_one_another_but_not_the_absent():
    scenes, (x, t) = moving(1, A, 3, 3), inputs()
    base = answer(scenes, x, t)
    nearer = scenes.clone()
    nearer[:, 1, :, :2] += 5
    assert (answer(nearer, x, t)[:, 0] - base[:, 0]).abs().max() > 1e-6
    absent = scenes.clone()
    absent[:, 1, :, 6] = 0
    elsewhere = absent.clone()
    elsewhere[:, 1, :, :4] += 7
    first = answer(absent, x, t)
    torch.testing.assert_close(answer(elsewhere, x, t)[:, [0, 2, 3]], first[:, [0, 2, 3]])
    assert first.isfinite().all()
    other = x.clone()
    other[:, 1] += 1
    torch.testing.assert_close(answer(absent, other, t)[:, [0, 2, 3]], first[:, [0, 2, 3]])


def test_what_an_agent_did_and_what_lies_ahead_are_seen():
    scenes, (x, t) = moving(1, A, 3, 3), inputs()
    base = answer(scenes, x, t)
    past = scenes.clone()
    past[:, 0, 0, :2] += 1
    assert (answer(past, x, t)[:, 0] - base[:, 0]).abs().max() > 1e-6
    net, encoder = net_and_encoder()
    seen = observations_of(scenes)
    seen[:, -1, A * 7 :] += 1
    assert (net(x, t, encoder(seen)) - base).abs().max() > 1e-6


def config(**changes):
    content = {
        "name": "scene",
        "env": {"id": "embodied/Traffic-v0"},
        "data": {"dataset": "embodied/scene/idm-v0"},
        "event": {"kind": "scene"},
        "net": {"kind": "scene", "width": 16, "depth": 1, "heads": 2},
        "control": {"kind": "scene", "agents": A, "history": 3, "horizon": T},
    } | changes
    return experiment.parse(content, "scene")


@pytest.mark.parametrize("head", ["denoising", "mixture", "regression", "two_step"])
def test_a_config_builds_every_head_on_scenes(head):
    size = observations_of(moving(0, A)).shape[-1]
    made = config(head={"kind": head})
    predictor = experiment.empty(made, Sizes(*made.control.sizes(size, 2)))
    assert predictor.head.event.shape == (A, T, 4)
    assert experiment.sizes_of(predictor) == Sizes(size, 4)
    assert "motions of 4 agents over 5 steps, 2 control steps apart" in made.control.describe()


def test_what_does_not_fit_is_refused_by_name():
    size = observations_of(moving(0, A)).shape[-1]
    made = config(net={"kind": "mlp"})
    with pytest.raises(ValueError, match=r"net.kind mlp predicts chunks of steps; the event has shape \(4, 5, 4\)"):
        experiment.empty(made, Sizes(size, 4))
    made = config(event={"kind": "path"}, control={"horizon": 8})
    with pytest.raises(ValueError, match=r"net\.kind scene predicts motions of several agents"):
        experiment.empty(made, Sizes(6, 2))
    with pytest.raises(ValueError, match="an observation of 4 agents must hold 7 numbers and as many points for each"):
        SceneEncoder(3, A, 30)
    net, encoder = net_and_encoder()
    x, t = inputs()
    with pytest.raises(ValueError, match=r"x must have shape \(3, 4, 5, 4\)"):
        net(x[:, :, :2], t, encoder(observations_of(moving(1, A, 3, 3))))
    with pytest.raises(ValueError, match=r"observations must have shape \(B, 3, "):
        encoder(torch.zeros(2, 2, encoder.size))
    with pytest.raises(ValueError, match="width must be a multiple of heads=3; got 16"):
        SceneTransformer(agents=1, horizon=1, channels_in=4, channels_out=4, context=9, width=16, heads=3)
