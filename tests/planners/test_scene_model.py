"""Scene models: what is drawn begins with what was seen, and a guide on scenes is followed by every head."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.encoder import StateEncoder
from embodied_gen.events import Trajectory
from embodied_gen.events.scene import motions_of
from embodied_gen.heads import Guide, RegressionHead
from embodied_gen.nets import ResidualMLP
from embodied_gen.predictor import Predictor
from planners import SpeedLimit, guide_of
from planners.attributes import Fixed
from planners.collisions import NoCollision
from planners.scene_model import SceneModel, on_motions
from planners.scenes import OfAgents
from tests.planners.scene_models import A, T, model_of, seen

HEADS = ["denoising", "mixture", "regression", "two_step"]


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
