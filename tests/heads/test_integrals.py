"""Densities of two entries integrate to one over the plane, and bounds of densities to no more."""

import pytest
import torch

from embodied_gen.heads import (
    AutoregressiveHead,
    HasLogProb,
    HierarchicalVAEHead,
    JointVAEHead,
    MixtureHead,
    RegressionHead,
    TwoStepHead,
    VAEHead,
    VQVAEHead,
)
from embodied_gen.heads.emissions import Bins, Mixtures, Words
from embodied_gen.heads.orders import Given, Learned
from embodied_gen.nets import RecurrentDecoder, ResidualMLP
from tests.heads.analytic import unit_event
from tests.heads.builders import as_after_training

pytestmark = pytest.mark.usefixtures("double")
FEATURES = 4
REACH, CELLS = 12.0, 160
RESOLVED = 0.15  # deviations from here on are seen by cells of that size: a sum over them errs by less than 1e-12


def net(channels_out=2):
    return ResidualMLP(horizon=1, channels_in=2, channels_out=channels_out, context=1, width=16, depth=1)


def autoregressive(emission, order=Given):
    event = unit_event(2)
    positions = AutoregressiveHead.positions(event, emission)
    decoder = RecurrentDecoder(
        length=positions,
        channels_in=emission.inputs + FEATURES,
        channels_out=emission.width,
        context=FEATURES,
        width=16,
    )
    made = net(AutoregressiveHead.width(event, emission, FEATURES))
    return AutoregressiveHead(event, made, decoder, emission, order=order(positions))


EXACT = {
    "regression": lambda: RegressionHead(unit_event(2), net()),
    "two_step": lambda: TwoStepHead(unit_event(2), net()),
    "mixture": lambda: MixtureHead(unit_event(2), net(MixtureHead.width(2, 3)), components=3, smallest=RESOLVED),
    "mixtures": lambda: autoregressive(Mixtures(2, components=3, smallest=RESOLVED)),
    "mixtures_of_entries": lambda: autoregressive(Mixtures(1, components=3, smallest=RESOLVED)),
    "words": lambda: autoregressive(Words(2, count=5, smallest=RESOLVED)),
}
BINNED = {
    "bins": lambda: autoregressive(Bins(16)),
    "bins_in_a_learned_order": lambda: autoregressive(Bins(16), Learned),
}
BOUNDS = {
    "vae": lambda: VAEHead(unit_event(2), net(), net(), net(), latent=2),
    "beta_vae": lambda: VAEHead(unit_event(2), net(), net(), latent=1, beta=2.0),
    "joint_vae": lambda: JointVAEHead(unit_event(2), net(), net(), classes=3, latent=1),
    "hierarchical_vae": lambda: HierarchicalVAEHead(unit_event(2), net(), net(), levels=2, latent=1),
}


def plane(reach, cells):
    """Midpoints of cells of a square, and the area of one."""
    axis = reach * ((torch.arange(cells) + 0.5) * 2 / cells - 1)
    return torch.cartesian_prod(axis, axis).view(-1, 1, 2), (2 * reach / cells) ** 2


@torch.no_grad()
def integral(log_prob, reach, cells):
    x, area = plane(reach, cells)
    c = torch.full((1, 1), 0.7).expand(len(x), 1)
    return (log_prob(x, c).exp().sum() * area).item()


def moved(build):
    head = as_after_training(build())
    assert isinstance(head, HasLogProb)
    return head


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_density_integrates_to_one(name):
    assert integral(moved(EXACT[name]).log_prob, REACH, CELLS) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", BINNED)
def test_a_density_of_bins_adds_up_to_one_over_them(name):
    head = moved(BINNED[name])
    assert integral(head.log_prob, head.emission.reach, 32) == pytest.approx(1, abs=1e-9)
    x = torch.full((1, 1, 2), 1.01 * head.emission.reach)
    assert head.log_prob(x, torch.zeros(1, 1)).exp().item() == 0


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_integrates_to_no_more_than_one_and_to_more_with_more_draws(name):
    head = moved(BOUNDS[name])

    def total(importance):
        head.importance = importance

        def log_prob(x, c):
            told = []
            for head.seed in range(8):
                told.append(head.log_prob(x, c))
            return torch.stack(told).mean(0)  # it is a lower bound in the mean over seeds

        return integral(log_prob, 5.0, 30)

    single, several = total(1), total(6)
    assert 1e-4 < single < several < 1


def test_the_code_of_an_encoder_bounds_the_sum_over_all_codes_and_integrates_to_less_than_one():
    head = moved(lambda: VQVAEHead(unit_event(2), net(), net(), net(), positions=2, words=4, width=2))
    assert 0.001 < integral(head.log_prob, 6.0, 120) < 1

    def exact(x, c):
        codes = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        one = c[:1].expand(16, 1)
        mean, log_prior = head.decode(codes, one), head.log_prior(codes, one)
        each = torch.stack([head.likelihood(mean[k].expand_as(x), x) + log_prior[k] for k in range(16)])
        return torch.logsumexp(each, 0)

    assert integral(exact, 6.0, 150) == pytest.approx(1, abs=1e-6)
    x = plane(2.0, 10)[0]
    c = torch.full((len(x), 1), 0.7)
    with torch.no_grad():
        assert (head.log_prob(x, c) <= exact(x, c) + 1e-9).all()


def test_a_bound_of_many_draws_integrates_to_one():
    # Drawn from the prior, as few draws of a narrow posterior miss what it leaves out.
    head = moved(lambda: VAEHead(unit_event(2), net(), net(), latent=1, importance=200))
    with torch.no_grad():
        head.read.linear.weight.zero_()
        head.read.linear.bias.zero_()
    assert integral(head.log_prob, 5.0, 30) == pytest.approx(1, abs=0.05)
