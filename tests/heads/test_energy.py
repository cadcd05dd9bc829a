"""Energy heads: what they draw, what they learn, and how they follow guides."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from embodied_gen import draws
from embodied_gen.blocks.energy import EnergyBlock
from embodied_gen.events import Trajectory
from embodied_gen.heads import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    EnergyHead,
    Guide,
    Hamiltonian,
    HasEnergy,
    InfoNCE,
    Langevin,
    MaximumLikelihood,
    MaxMargin,
    PersistentContrastiveDivergence,
    RandomWalk,
    Resampling,
    SlicedScoreMatching,
)
from embodied_gen.heads.guidance import RowGuide
from embodied_gen.heads.walls import Walls
from embodied_gen.nets import ResidualMLP, Transformer
from tests.heads.analytic import unit_event


class Bowl(nn.Module):
    """The energy of normals around the context, one number of output for each step."""

    def __init__(self, deviation):
        super().__init__()
        self.deviation = deviation

    def forward(self, x, t, c):
        return ((x - c[:, None]) / self.deviation).square().sum(-1, keepdim=True) / 2


def bowl(deviation=0.1, **options):
    return EnergyHead(unit_event(1), Bowl(deviation), **options)


SAMPLERS = {
    "walk": RandomWalk(150),
    "langevin": Langevin(100),
    "hamiltonian": Hamiltonian(20),
}
EVERY = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


@EVERY
def test_draws_have_the_density_of_the_energy(sampler):
    c = torch.tensor([[-0.4], [0.3]])
    x = bowl(sampler=sampler).sample(c, 500, generator=draws.generator(0)).view(2, 500)
    for row, mean in zip(x, (-0.4, 0.3), strict=True):
        assert stats.kstest(row.numpy(), stats.norm(mean, 0.1).cdf).pvalue > 0.01


@EVERY
def test_guided_draws_have_the_energy_and_the_cost_together(sampler):
    # exp(-(x - 0.2)^2 / 0.02 - 60 (x + 0.1)^2 / 2) is a normal again.
    guide = Guide(cost=lambda y: (y + 0.1).square().flatten(2).sum(2) / 2, scale=60.0)
    x = bowl(sampler=sampler).sample(torch.tensor([[0.2]]), 800, generator=draws.generator(1), guide=guide).flatten()
    precision = 100 + 60
    truth = stats.norm((100 * 0.2 - 60 * 0.1) / precision, precision**-0.5)
    assert stats.kstest(x.numpy(), truth.cdf).pvalue > 0.01


@EVERY
def test_constraints_cut_the_density_off(sampler):
    guide = Guide(margins=lambda y: y[..., 0] - 0.3)
    told = bowl(sampler=sampler).certified(torch.tensor([[0.2]]), 800, generator=draws.generator(1), guide=guide)
    assert told.feasible.all()
    truth = stats.truncnorm((0.3 - 0.2) / 0.1, math.inf, 0.2, 0.1)
    assert stats.kstest(told.x.flatten().numpy(), truth.cdf).pvalue > 0.001


def test_a_rare_and_narrow_place_is_found():
    # Eight numbers, each in a window of a hundredth of the box: no uniform start lies inside.
    head = EnergyHead(Trajectory(4, [-1.0, 0.0], [1.0, 5.0]), Still(), sampler=Langevin(30))

    def margins(y):
        return torch.stack([0.02 - (y[..., 0] - 0.7).abs(), 0.05 - (y[..., 1] - 1.0).abs()], -1).flatten(2)

    told = head.certified(torch.zeros(3, 1), 4, generator=draws.generator(0), guide=Guide(margins=margins))
    assert told.feasible.all()


class Still(nn.Module):
    """A network that knows nothing."""

    def forward(self, x, t, c):
        return 0 * x[..., :1]


def test_the_confinement_has_the_tails_that_its_stiffness_says():
    head = EnergyHead(unit_event(1), Still(), confinement=25.0, sampler=RandomWalk(100, starts=1), reach=1.5)
    x = head.sample(torch.zeros(1, 1), 4000, generator=draws.generator(0)).flatten()
    beyond = 2 * 0.2 * math.sqrt(math.pi / 2)  # the mass of two halves of a normal beside a box of mass 2
    assert (x.abs() > 1).double().mean().item() == pytest.approx(beyond / (2 + beyond), abs=0.03)
    outside = torch.tensor([[[1.4]]])
    assert head.energy(outside, torch.zeros(1, 1)).item() == pytest.approx(25 / 2 * 0.16)


def test_walls_are_the_cost_inside_and_lead_in_outside():
    guide = Guide(
        cost=lambda y: y.flatten(2).sum(2), margins=lambda y: torch.stack([y[..., 0, 0], y[..., 0, 0] + 1], -1)
    )
    rows = RowGuide(guide, unit_event(1), 1)
    walls = Walls(rows, torch.linspace(-1, 1, 50).view(-1, 1, 1))
    x = torch.tensor([0.5, 0.1, -0.1, -0.5, -1.5]).view(-1, 1, 1)
    u = walls(x)
    torch.testing.assert_close(u[:2], torch.tensor([0.5, 0.1]))
    assert (u[2:] > 1e3).all() and (u[2:].diff() > 0).all()


GRID = torch.cartesian_prod(torch.linspace(-1.2, 1.2, 61), torch.linspace(-1.2, 1.2, 61)).view(-1, 1, 2)


def truth(x, c, blur=0.0):
    """Two normals beside each other whose side depends on the context, of unequal weight."""
    variance = 0.15**2 + blur**2
    centre = torch.stack([0.5 * c.expand(len(x), 1), torch.full((len(x), 1), 0.4)], 2)
    first = 0.7 * (-(x - centre).square().sum((1, 2)) / (2 * variance)).exp()
    second = 0.3 * (-(x + centre).square().sum((1, 2)) / (2 * variance)).exp()
    return (first + second) / (2 * math.pi * variance)


def draw(rows, generator):
    c = 2 * draws.uniform((rows, 1), generator=generator, like=GRID).round() - 1
    sign = 1 - 2 * (draws.uniform((rows, 1), generator=generator, like=GRID) < 0.3).to(c.dtype)
    centre = sign * torch.cat([0.5 * c, torch.full_like(c, 0.4)], 1)
    return (centre + 0.15 * draws.normal((rows, 2), generator=generator, like=GRID)).unsqueeze(1), c


def trained(objective, steps, examples=draw, rows=64):
    net = ResidualMLP(horizon=1, channels_in=2, channels_out=1, context=1, width=64, depth=2)
    head = EnergyHead(unit_event(2), net, objective=objective)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for step in range(steps):
        stream = draws.generator(7, step)
        x, c = examples(rows, stream)
        optimizer.zero_grad()
        head.loss(x, c, generator=stream).mean().backward()
        optimizer.step()
        scheduler.step()
        head.advance(c, generator=stream)
    return head


def distance(head, blur=0.0):
    """Total variation between the head's density on the grid and the true one, mean of both contexts."""
    total = 0.0
    for side in (-1.0, 1.0):
        c = torch.full((len(GRID), 1), side)
        with torch.no_grad():
            learned = (-head.energy(GRID, c)).softmax(0)
        exact = truth(GRID, c, blur)
        total += (learned - exact / exact.sum()).abs().sum().item() / 4
    return total


@pytest.mark.parametrize(
    ("objective", "blur"),
    [
        (InfoNCE(8), 0.0),
        (InfoNCE(4, chain=Langevin(3)), 0.0),
        (MaximumLikelihood(Langevin(10, starts=4)), 0.0),
        (ContrastiveDivergence(Langevin(4)), 0.0),
        (PersistentContrastiveDivergence(Langevin(4, starts=4), count=256), 0.0),
        (DenoisingScoreMatching(0.15), 0.15),
    ],
    ids=["uniform", "langevin", "likelihood", "divergence", "persistent", "denoising"],
)
def test_training_finds_two_modes_that_move_with_the_context(objective, blur):
    steps, rows = (300, 128) if blur else (150, 64)  # of slopes alone more is to be learned
    assert distance(trained(objective, steps, rows=rows), blur) < 0.55 * distance(trained(objective, 0), blur)


def place(c):
    return torch.cat([0.6 * c, c.square() - 0.5], 1).unsqueeze(1)


def test_the_margin_makes_the_event_the_deepest_place():
    def examples(rows, generator):
        c = 2 * draws.uniform((rows, 1), generator=generator, like=GRID) - 1
        return place(c), c

    head = trained(MaxMargin(4, steps=6), 100, examples)
    c = torch.linspace(-0.8, 0.8, 9)[:, None]
    with torch.no_grad():
        energy = head.energy(GRID.repeat(9, 1, 1), c.repeat_interleave(len(GRID), 0)).view(9, -1)
    assert (GRID[energy.argmin(1)] - place(c)).norm(dim=2).mean() < 0.25


def test_energies_of_attention_have_second_derivatives():
    net = Transformer(horizon=4, channels_in=2, channels_out=1, context=3, width=16, depth=1, heads=2)
    head = EnergyHead(Trajectory(4, [-1.0, 0.0], [1.0, 5.0]), net, objective=SlicedScoreMatching())
    head.loss(torch.randn(3, 4, 2), torch.randn(3, 3), generator=draws.generator(0)).sum().backward()


def test_a_sampler_can_be_replaced_and_energies_are_a_capability():
    head = bowl()
    assert isinstance(head, HasEnergy)
    head.sampler = Resampling(64)
    x = head.sample(torch.tensor([[0.25]]), 50, generator=draws.generator(0))
    assert (x - 0.25).abs().max() < 0.5


def test_a_config_builds_every_objective_and_sampler():
    def make_net(channels_out):
        return ResidualMLP(horizon=1, channels_in=2, channels_out=channels_out, context=1, width=16, depth=1)

    objectives = (
        *("info_nce", "info_nce_uniform", "contrastive_divergence", "maximum_likelihood", "max_margin"),
        "persistent_contrastive_divergence",
        *("denoising_score", "sliced_score", "implicit_score"),
    )
    for objective in objectives:
        for sampler in ("langevin", "random_walk", "hamiltonian", "resampling"):
            block = EnergyBlock.model_validate({"objective": {"kind": objective}, "sampler": {"kind": sampler}})
            head = block.build(unit_event(2), make_net)
            x, c = draw(3, draws.generator(0))
            assert head.loss(x, c, generator=draws.generator(0)).shape == (3,)
    assert isinstance(EnergyBlock().build(unit_event(2), make_net).objective, InfoNCE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confinement": -1.0}, "confinement must be at least 0; got -1.0"),
        ({"reach": 0.0}, "reach must be positive; got 0.0"),
    ],
)
def test_impossible_energies_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bowl(**options)


def test_events_and_contexts_of_different_numbers_are_named():
    with pytest.raises(ValueError, match="one context for each of the 4 events; got 2"):
        bowl().energy(torch.zeros(4, 1, 1), torch.zeros(2, 1))


def test_a_network_of_a_wrong_width_is_named():
    net = ResidualMLP(horizon=1, channels_in=2, channels_out=2, context=1, width=16, depth=1)
    with pytest.raises(ValueError, match=r"must return shape \(3, 1, 1\); got \(3, 1, 2\).*channels_out = 1"):
        EnergyHead(unit_event(2), net).energy(torch.zeros(3, 1, 2), torch.zeros(3, 1))
