"""How probable held-out events are to a head, by every way that there is."""

import math
import statistics

import pytest
import torch

from embodied_gen import draws
from embodied_gen.blocks import DenoisingBlock
from embodied_gen.blocks.average_velocity import MeanFlowBlock
from embodied_gen.blocks.binary import BeliefBlock, BoltzmannBlock, HopfieldBlock, RBMBlock
from embodied_gen.blocks.denoising import CosineSchedule
from embodied_gen.blocks.energy import EnergyBlock
from embodied_gen.blocks.head import MixtureBlock
from embodied_gen.blocks.latent import VAEBlock
from embodied_gen.events import Binary, Trajectory
from embodied_gen.grounds import surprise as module
from embodied_gen.grounds.surprise import surprise
from embodied_gen.heads import DenoisingHead, likelihood
from embodied_gen.heads.analytic import Exact
from embodied_gen.heads.parametrisation import V
from embodied_gen.heads.schedules import Cosine, Rectified
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import normal, two_modes, unit_event
from tests.heads.test_likelihood import LEARNED, density
from tests.heads.test_vae import BUILDS, bent, train


def head_of(block, event=None):
    event = event or Trajectory(2, [-1.0] * 2, [1.0] * 2)
    horizon, channels = event.shape

    def make_net(channels_out, channels_in=channels):
        return ResidualMLP(
            horizon=horizon, channels_in=channels_in, channels_out=channels_out, context=3, width=8, depth=1
        )

    return block.build(event, make_net)


def told(head, rows=5):
    stream = draws.generator(0)
    like = torch.zeros((), dtype=head.event.low.dtype)
    x = draws.uniform((rows, *head.event.shape), generator=stream, like=like) - 0.5
    x = x.sign() if isinstance(head.event, Binary) else x
    c = draws.normal((rows, 3), generator=stream, like=like)
    return surprise(head, x, c, generator=draws.generator(1)), x, c


@pytest.mark.parametrize(
    ("block", "way"), [(MixtureBlock(), "exact"), (VAEBlock(), "bound"), (DenoisingBlock(), "flow")]
)
def test_the_way_is_named_and_the_value_is_that_of_each_number(block, way):
    head = head_of(block)
    found, x, c = told(head)
    assert found["nll_by"] == way and math.isfinite(found["nll"])
    if way == "exact":
        assert found["nll"] == pytest.approx(-head.log_prob(x, c).detach().mean().item() / 4)
    if way == "bound":
        told_again = head.bound(x, c, generator=draws.generator(1))
        assert found["nll"] == pytest.approx(-told_again.detach().mean().item() / 4)


def test_a_bound_of_many_events_hardly_depends_on_what_is_drawn_for_it(double):
    head = train(BUILDS["vae"](), bent, steps=200)
    x, c = bent(512, draws.generator(8)), torch.zeros(512, 1)
    own = [surprise(head, x, c, generator=draws.generator(2, stream))["nll"] for stream in range(8)]
    shared = []
    for head.seed in range(8):
        shared.append(-head.log_prob(x, c).detach().mean().item() / 2)
    # Draws that all events share err alike in all of them.
    assert statistics.stdev(own) < 0.03 and statistics.stdev(shared) > 5 * statistics.stdev(own)


@pytest.mark.parametrize("block", [EnergyBlock(), MeanFlowBlock()])
def test_heads_without_a_density_of_their_draws_have_none(block):
    assert told(head_of(block))[0] == {}


@pytest.mark.parametrize("schedule", [Rectified, Cosine], ids=lambda kind: kind.__name__)
def test_the_flow_of_the_exact_denoiser_has_the_surprise_of_its_data(schedule, double):
    data = normal(channels=2)
    head = DenoisingHead(unit_event(2), Exact(data, schedule(), V()), schedule=schedule(), parametrisation=V(), steps=8)
    x = data.draw(60, draws.generator(1))[:, None]
    found = surprise(head, x, torch.zeros(60, 1), generator=draws.generator(2))
    expected = ((x - 0.3) / 0.4).square().mean() / 2 + math.log(0.4 * math.sqrt(2 * math.pi))
    assert found["nll"] == pytest.approx(float(expected), abs=0.02) and found["nll_by"] == "flow"


@pytest.mark.parametrize("prediction", LEARNED)
def test_the_flow_of_a_trained_head_is_as_probable_by_twice_as_many_levels_and_no_more_than_the_truth(
    prediction, double, monkeypatch
):
    head, data = LEARNED[prediction](), two_modes()
    x = data.draw(200, draws.generator(9))

    def nll(steps, of_tables):
        monkeypatch.setattr(likelihood, "_STEPS", steps)
        monkeypatch.setattr(likelihood, "_STEPS_OF_TABLES", of_tables)
        return surprise(head, x[:, None], torch.zeros(200, 1), generator=draws.generator(0))["nll"]

    few, many = nll(12, 50), nll(25, 100)
    assert few == pytest.approx(many, rel=0.02)
    assert many > -density(data, x, 0).mean().item() / 2 - 0.01


def test_each_half_of_the_events_is_told_by_the_candidate_that_is_best_of_the_other():
    told = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 7.0, 0.0, 8.0]])
    assert module._best(told).tolist() == [0, 0, 0, 0]  # what is best of one half alone is worth nothing
    assert module._best(told[:1]).sort().values.tolist() == [0, 0, 1, 2]
    assert module._best(torch.stack([told[0], told[0] + 1])).sort().values.tolist() == [1, 1, 2, 3]
    assert module._best(torch.tensor([[1.0, 1.0], [math.nan, math.nan]])).tolist() == [1, 1]


def test_divergences_of_many_entries_are_estimated_along_probes_and_those_of_few_are_exact(monkeypatch):
    asked = []
    for name in ("exact", "hutchinson"):
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, name=name, original=original, **k: (asked.append(name), original(*a, **k))[1]
        )
    few, many = (head_of(DenoisingBlock(), Trajectory(horizon, [-1.0], [1.0])) for horizon in (16, 17))
    assert math.isfinite(told(few)[0]["nll"]) and set(asked) == {"exact"}
    asked.clear()
    first, again = told(many)[0], told(many)[0]
    assert first == again and set(asked) == {"hutchinson"} and len(asked) == 2 * 4  # one for each noise, all the way


def test_tables_of_few_levels_are_followed_level_by_level():
    assert math.isfinite(told(head_of(DenoisingBlock(schedule=CosineSchedule(levels=20), prediction="v")))[0]["nll"])


@pytest.mark.parametrize("block", [HopfieldBlock(), RBMBlock(hidden=5), BoltzmannBlock(hidden=2)])
def test_few_binary_units_are_summed_over(block):
    head = head_of(block, Binary(6))
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.normal_(generator=draws.generator(3, number)).mul_(0.3)
    found, x, c = told(head)
    assert found["nll_by"] == "exact"
    assert found["nll"] == pytest.approx(-float(head.enumerated(x, c).mean()) / 6, rel=1e-4)


def test_many_binary_units_and_other_heads_over_units_have_no_density():
    assert told(head_of(HopfieldBlock(), Binary(17)))[0] == {}
    assert told(head_of(BeliefBlock(), Binary(6)))[0] == {}
    assert told(head_of(MixtureBlock(), Binary(6)))[0] == {}


def test_what_is_not_finite_is_none():
    head = head_of(MixtureBlock())
    x = torch.full((2, 2, 2), 1e30)
    assert surprise(head, x, torch.zeros(2, 3), generator=draws.generator(0)) == {"nll": None, "nll_by": "exact"}
