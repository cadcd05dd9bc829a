"""Groups hold everybody once and who is near, and are drawn jointly whatever lies beside them."""

import pytest
import shapely
import torch

from embodied_gen import draws
from embodied_gen.encoder import SceneEncoder
from embodied_gen.events import Scene
from embodied_gen.events.scene import STATE
from embodied_gen.forecasting.check import check_forecaster
from embodied_gen.forecasting.examples import CrowdExamples
from embodied_gen.forecasting.forecaster import Observed
from embodied_gen.forecasting.groups import GroupForecaster, groups_of
from embodied_gen.forecasting.walls import pieces_of
from embodied_gen.forecasting.windows import SOCIAL_GAN, windows_of
from embodied_gen.heads import AutoregressiveHead
from embodied_gen.heads.emissions import Mixtures
from embodied_gen.heads.orders import Given, InStep
from embodied_gen.nets import CausalTransformer, SceneTransformer
from embodied_gen.predictor import Predictor
from tests.crowds import crowd

FEATURES = 4
PIECES = pieces_of([shapely.box(2, 2, 4, 4), shapely.LineString([(-5, 0), (-5, 3)])])


def observed(scenes=3, agents=7, seed=0):
    g = draws.generator(seed)
    start = 8 * torch.rand(scenes, agents, 1, 2, generator=g) - 4
    steps = 0.3 * torch.randn(scenes, agents, 1, 2, generator=g) + 0.05 * torch.randn(scenes, agents, 8, 2, generator=g)
    present = torch.rand(scenes, agents, generator=g) < 0.8
    present[:, 0] = True
    return Observed(start + steps.cumsum(2), present, PIECES.float().expand(scenes, -1, -1, -1))


def forecaster(size, points=0):
    """Untrained, moved away from where it starts."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        event = Scene(size, 12, [-4.0, -4.0], [4.0, 4.0], [-0.5, -0.5], [0.8, 0.5])
        encoder, emission = SceneEncoder(8, size, (STATE + 2 * points) * size), Mixtures(2, components=2)
        width = AutoregressiveHead.width(event, emission, FEATURES)
        net = SceneTransformer(
            agents=size,
            horizon=12,
            channels_in=2,
            channels_out=width,
            context=encoder.width,
            width=16,
            depth=1,
            heads=2,
        )
        reads = CausalTransformer(
            length=12 * size, channels_in=2 + FEATURES, channels_out=emission.width, context=FEATURES, width=16, depth=1
        )
        head = AutoregressiveHead(event, net, reads, emission, order=InStep(Given(size), 12))
        with torch.no_grad():
            for part in head.parameters():
                part.add_(0.2 * torch.randn_like(part))
    return GroupForecaster(Predictor(encoder, head).eval(), neighbours=size - 1, points=points)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 9])
def test_everybody_who_is_there_is_in_one_group(size):
    seen = observed()
    groups = groups_of(seen, size)
    count = torch.zeros_like(seen.present, dtype=torch.int64)
    group, member = groups.there.nonzero().unbind(1)
    count.index_put_((groups.scenes[group], groups.members[group, member]), torch.tensor(1), accumulate=True)
    assert count.equal(seen.present.long())
    assert groups.members.shape[1] == size and groups.there[:, 0].all()
    full = -(-seen.present.sum(1) // size)
    assert torch.bincount(groups.scenes, minlength=3).equal(full)


def test_a_group_is_its_first_member_and_those_nearest_to_it_who_were_left():
    last = torch.tensor([[[0.0, 0], [5, 0], [1, 0], [6, 0], [2, 0]]])
    seen = Observed(last.unsqueeze(2).expand(-1, -1, 8, -1), torch.ones(1, 5, dtype=torch.bool))
    groups = groups_of(seen, 2)
    found = [row[there].tolist() for row, there in zip(groups.members, groups.there, strict=True)]
    assert found == [[0, 2], [4, 1], [3]]


@pytest.mark.parametrize(("size", "points"), [(3, 0), (3, 2), (9, 2)])
def test_it_keeps_the_laws_of_forecasters(size, points):
    check_forecaster(forecaster(size, points), observed())


@pytest.mark.parametrize("size", [3, 9])
def test_the_order_of_pedestrians_means_nothing_at_all(size):
    seen, order = observed(1), torch.tensor([4, 2, 6, 0, 1, 5, 3])
    turned = Observed(seen.tracks[:, order], seen.present[:, order], seen.walls)
    one, other = (forecaster(size, 2).forecast(o, 5, generator=draws.generator(3)) for o in (seen, turned))
    here = seen.present[:, None, order, None, None]
    torch.testing.assert_close(one[:, :, order] * here, other * here)


def test_walls_change_forecasts_and_are_asked_for():
    seen = observed()
    drawn = [
        forecaster(3, 2).forecast(Observed(seen.tracks, seen.present, w), 4, generator=draws.generator(0))
        for w in (seen.walls, seen.walls + 1)
    ]
    assert not torch.allclose(*drawn)
    with pytest.raises(ValueError, match=r"2 points of walls are asked for and no walls are known. Give the file"):
        forecaster(3, 2).forecast(Observed(seen.tracks, seen.present), 4, generator=draws.generator(0))


def test_a_group_sees_what_its_examples_saw():
    """The observations of a scene of one group are those of the example of its first member."""
    windows = windows_of([crowd(3, 24)], SOCIAL_GAN)
    part = next(windows.parts(1))
    seen = Observed(part.tracks[:1, :, :8], part.valid[:1, :, 7], PIECES[None])
    groups = groups_of(seen, 3)
    first = int(groups.members[0, 0])
    examples = CrowdExamples(windows, neighbours=2, walls=PIECES, points=2)
    row = int(windows.starts[part.numbers[0]]) + first
    heard = []
    own = forecaster(3, 2)
    own.predictor.encoder.register_forward_pre_hook(lambda module, given: heard.append(given[0]))
    own.forecast(seen, 2, generator=draws.generator(0))
    torch.testing.assert_close(heard[0], examples.batch(torch.tensor([row])).observations)
