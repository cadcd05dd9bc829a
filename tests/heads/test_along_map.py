"""Costs of places from trajectories that are not bound to cells: reading, learning by chains and by importance."""

import math

import pytest
import torch
from scipy import integrate

from embodied_gen import draws
from embodied_gen.events import Trajectory
from embodied_gen.heads import (
    ContrastiveDivergence,
    EnergyHead,
    ImportanceSampling,
    Langevin,
    MaximumLikelihood,
    MaxMargin,
)
from embodied_gen.heads.objectives import Landscape
from embodied_gen.nets import AlongMap, CellMLP, LinearMap

pytestmark = pytest.mark.usefixtures("double")
CELLS = 8


def features():
    """Layers of a map over [-1, 1]^2: squares, product and places of its cells, and how near a valley is."""
    line = (torch.arange(CELLS) + 0.5) * (2 / CELLS) - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y, x * x, x * y, y * y])[None]


def valley(roughness=4.0):
    """6 (y - x / 2)^2 + x^2 / 2, and as a network over the layers."""
    net = AlongMap(LinearMap(channels_in=5), roughness=roughness)
    with torch.no_grad():
        net.net.weights.weight.copy_(torch.tensor([0.0, 0.0, 2.0, -6.0, 6.0]).view(1, 5, 1, 1))
    return net


def test_the_map_is_read_where_the_trajectory_is_and_between():
    net, layers = valley(), features()
    x = torch.tensor([[[-0.5, 0.25], [0.5, 0.25], [0.5, 0.75]]])
    u = net(x, torch.zeros(1), {"layers": layers})[0, :, 0]

    def cost(x, y):
        return 2 * x * x - 6 * x * y + 6 * y * y

    by_hand = [
        cost(-0.5, 0.25),
        (cost(0.0, 0.25) + cost(0.5, 0.25)) / 2 + 4.0,
        (cost(0.5, 0.5) + cost(0.5, 0.75)) / 2 + 1.0,
    ]
    # Between centres a bilinear reading of a square is above it, by at most the curvature over eight.
    assert u.tolist() == pytest.approx(by_hand, abs=(2 + 6) * 2 * (2 / CELLS) ** 2 / 8)


def test_at_centres_of_cells_the_reading_is_exact():
    net = valley()
    line = (torch.arange(CELLS) + 0.5) * (2 / CELLS) - 1
    x = torch.cartesian_prod(line, line).view(-1, 1, 2)
    layers = features().expand(len(x), -1, -1, -1)
    exact = 2 * x[..., 0] ** 2 - 6 * x[..., 0] * x[..., 1] + 6 * x[..., 1] ** 2
    torch.testing.assert_close(net(x, torch.zeros(len(x)), {"layers": layers})[..., 0], exact)


def alike(head, truth):
    """Correlation of the learned map with the true one."""
    maps = [net.net(features()).flatten() for net in (head.net, truth)]
    return torch.corrcoef(torch.stack(maps).detach())[0, 1].item()


def demonstrations(steps, count):
    event = Trajectory(steps, [-1.0, -1.0], [1.0, 1.0])
    truth = EnergyHead(event, valley(), sampler=Langevin(100, step=0.02, starts=4), reach=1.0)
    c = {"layers": features().expand(count, -1, -1, -1)}
    return event, truth, truth.sample(c, generator=draws.generator(0))[:, 0], c


@pytest.mark.parametrize(
    ("objective", "make_net", "rate"),
    [
        (MaximumLikelihood(Langevin(20, step=0.02, starts=2), pull=0.0), lambda: LinearMap(channels_in=5), 0.1),
        (ContrastiveDivergence(Langevin(8, step=0.02)), lambda: CellMLP(channels_in=5, width=16), 0.02),
    ],
)
def test_a_valley_is_recovered_from_trajectories_by_chains(objective, make_net, rate):
    event, truth, x, c = demonstrations(3, 100)
    head = EnergyHead(event, AlongMap(make_net()), objective=objective, reach=1.0)
    optimizer = torch.optim.Adam(head.parameters(), lr=rate)
    for step in range(40):
        optimizer.zero_grad()
        head.loss(x, c, generator=draws.generator(step)).mean().backward()
        optimizer.step()
    assert alike(head, truth.net) > 0.9
    assert 1.5 < head.net.log_roughness.exp().item() < 10  # 4 in truth, 1 at first


def test_a_valley_is_recovered_by_importance_sampling():
    event, truth, x, c = demonstrations(1, 200)
    head = EnergyHead(event, AlongMap(LinearMap(channels_in=5)), objective=ImportanceSampling(32), reach=1.0)
    optimizer = torch.optim.Adam(head.net.net.parameters(), lr=0.2)
    for step in range(40):
        optimizer.zero_grad()
        head.loss(x, c, generator=draws.generator(step)).mean().backward()
        optimizer.step()
    assert alike(head, truth.net) > 0.95


def test_the_estimate_tends_to_minus_the_log_density():
    event = Trajectory(1, [-1.0], [1.0])

    def energy(rows):
        return rows.flatten(1).sum(1) + 2 * (4 * rows).sin().flatten(1).sum(1)

    z, _ = integrate.quad(lambda y: math.exp(-y - 2 * math.sin(4 * y)), -1.0, 1.0)

    def inside(rows):
        return torch.where(rows.abs().flatten(1).amax(1) <= 1, energy(rows), math.inf)

    x = torch.tensor([[[-0.4]], [[0.7]]])
    landscape = Landscape(inside, lambda c: inside, torch.zeros(2, 0), event, 1.0)
    loss = ImportanceSampling(20_000).loss(landscape, x, generator=draws.generator(0))
    torch.testing.assert_close(loss, energy(x) + math.log(z), rtol=0, atol=0.03)


class Counted(torch.nn.Module):
    """A map network that counts the maps that it is asked for."""

    channels_out = 1

    def __init__(self):
        super().__init__()
        self.net, self.maps = LinearMap(channels_in=5), 0

    def forward(self, layers):
        self.maps += len(layers)
        return self.net(layers)


@pytest.mark.parametrize("objective", [ContrastiveDivergence(Langevin(3)), MaxMargin(2, steps=3)])
def test_the_map_of_a_context_is_made_once_for_all_rows_and_steps_and_learns_from_all(objective):
    event = Trajectory(3, [-1.0, -1.0], [1.0, 1.0])
    c, along = {"layers": features() * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)}, AlongMap(Counted())
    head = EnergyHead(event, along, objective=objective, sampler=Langevin(4, starts=2))
    rows = head.sample(c, 8, generator=draws.generator(0))
    assert along.net.maps == 2
    head.loss(rows[:, 0], c, generator=draws.generator(1)).sum().backward()
    assert along.net.maps == 4
    once = [parameter.grad.clone() for parameter in head.parameters()]
    assert all((slope != 0).any() for slope in once)
    head.zero_grad()
    head.net = Anew(along)
    head.loss(rows[:, 0], c, generator=draws.generator(1)).sum().backward()
    torch.testing.assert_close([parameter.grad for parameter in head.parameters()], once)
    assert torch.equal(head.sample(c, 8, generator=draws.generator(0)), rows)


class Anew(torch.nn.Module):
    """The same network, which reads contexts of every row."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, t, c):
        return self.net(x, t, c)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AlongMap(LinearMap(channels_in=1, channels_out=2)), "needs one number of a cell; got 2"),
        (lambda: AlongMap(LinearMap(channels_in=1), between=0), "between must be >= 1; got 0"),
        (lambda: AlongMap(LinearMap(channels_in=1), roughness=0.0), "roughness must be positive; got 0.0"),
        (
            lambda: valley()(torch.zeros(1, 3, 3), None, {"layers": features()}),
            r"must have shape \(M, T, 2\); got \(1, 3, 3\)",
        ),
        (lambda: ImportanceSampling(3), "count must be even and at least 2, and spread positive; got 3 and 0.3"),
    ],
)
def test_numbers_out_of_range_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
