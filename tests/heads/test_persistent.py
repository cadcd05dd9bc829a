"""Chains that persist give the slope of the likelihood, belong to contexts, and are part of a head's state."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from embodied_gen import draws
from embodied_gen.events import Binary
from embodied_gen.heads import (
    ContrastiveDivergence,
    EnergyHead,
    HasChains,
    Langevin,
    MaximumLikelihood,
    PersistentChains,
    PersistentContrastiveDivergence,
    RBMHead,
    check_head,
)
from embodied_gen.heads.gibbs import every_state
from embodied_gen.heads.objectives import Landscape
from tests.heads.analytic import Constant, unit_event
from tests.heads.batches import CHANNELS, batch, binary, spins, trajectory
from tests.heads.networks import mlp

pytestmark = pytest.mark.usefixtures("double")


class Bowl(nn.Module):
    """The energy of normals around the context."""

    def __init__(self, deviation):
        super().__init__()
        self.deviation = nn.Parameter(torch.tensor(deviation))

    def forward(self, x, t, c):
        return ((x - c[:, None]) / self.deviation).square().sum(-1, keepdim=True) / 2


def bowl(count=60, fresh=0.0, steps=5):
    objective = PersistentContrastiveDivergence(Langevin(steps, starts=2), count=count, fresh=fresh)
    return EnergyHead(unit_event(1), Bowl(0.1), objective=objective, confinement=0.0)


def machine(units=4, hidden=2, seed=0, **options):
    head = RBMHead(Binary(units), Constant(1, units + hidden), hidden=hidden, **options)
    with torch.no_grad():
        for number, parameter in enumerate(head.parameters()):
            parameter.normal_(generator=draws.generator(seed, number))
    return head


def nothing(rows):
    return torch.zeros(rows, 0)


def state(head):
    return {name: value.clone() for name, value in head.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- The slope of the likelihood ---------------------------------------------------------------------------------


def slope_of(objective, precision, advances, rows=4000):
    """Of the precision of a normal around zero, for data of deviation a half."""
    x = 0.5 * draws.normal((rows, 1, 2), generator=draws.generator(1), like=torch.zeros(()))
    precision = torch.tensor(precision, requires_grad=True)

    def energy(x):
        return precision * x.square().flatten(1).sum(1) / 2

    landscape = Landscape(energy, lambda c: energy, nothing(rows), unit_event(2), reach=1.0)
    for step in range(advances):
        objective.advance(landscape, generator=draws.generator(3, step))
    objective.loss(landscape, x, generator=draws.generator(2)).mean().backward()
    return precision.grad.item(), (x.square().sum(2).mean() / 2 - 1 / precision).item()


@pytest.mark.parametrize("precision", [1.0, 3.0, 6.0])  # below and above the best, 4
def test_the_slope_of_long_chains_and_of_short_ones_that_went_on_is_that_of_the_likelihood(precision):
    within = {"abs": 5 / precision / math.sqrt(4000)}
    for steps, advances in ((60, 1), (2, 50)):
        persistent = PersistentContrastiveDivergence(Langevin(steps), count=4000, fresh=0.0, pull=0)
        found, exact = slope_of(persistent, precision, advances)
        assert found == pytest.approx(exact, **within)
    long, exact = slope_of(ContrastiveDivergence(Langevin(60), pull=0), precision, 0)
    assert long == pytest.approx(exact, **within)
    if abs(precision - 4) > 1:  # as short, and from the data
        short, _ = slope_of(ContrastiveDivergence(Langevin(2), pull=0), precision, 0)
        assert short != pytest.approx(exact, **within)


def test_the_slope_of_a_machine_whose_chains_went_on_is_that_of_enumeration():
    every = every_state(3, torch.zeros(())).unsqueeze(1)
    x, c = every[[1, 3, 3, 6]].repeat(1500, 1, 1), nothing(6_000)
    head = machine(3, 2, steps=2, chains=PersistentChains(6_000, fresh=0.0))
    for step in range(20):
        head.advance(c, generator=draws.generator(0, step))
    head.loss(x, c, generator=draws.generator(1)).mean().backward()
    found = [parameter.grad.clone() for parameter in head.parameters()]
    head.zero_grad()
    energy = head.energy(every, nothing(8))
    ((energy[[1, 3, 3, 6]].mean() + torch.logsumexp(-energy, 0)) / 3).backward()
    for ours, parameter in zip(found, head.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=0, atol=0.015)


def divergence_from_the_data(learn, chains=None):
    """Of a machine that learned two states which lie as far apart as can be: all units on, all off; nat."""
    data = every_state(4, torch.zeros(())).unsqueeze(1)[[0, 15]].repeat(50, 1, 1)
    head = machine(chains=chains, steps=1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(0.1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    for step in range(200):
        optimizer.zero_grad()
        learn(head, data, step).backward()
        optimizer.step()
        schedule.step()
        head.advance(nothing(100), generator=draws.generator(6, step))
    return exact_surprise(head, data).item() * 4 - math.log(2)


def exact_surprise(head, data, step=0):
    every = every_state(4, torch.zeros(())).unsqueeze(1)
    partition = torch.logsumexp(-head.energy(every, nothing(16)), 0)
    return (head.energy(data, nothing(len(data))).mean() + partition) / 4


def by_its_loss(head, data, step):
    return head.loss(data, nothing(100), generator=draws.generator(5, step)).mean()


def test_where_one_step_from_the_data_sees_nothing_else_chains_that_persist_come_close_to_the_likelihoods_best():
    best = divergence_from_the_data(exact_surprise)
    persistent = divergence_from_the_data(by_its_loss, PersistentChains(100, fresh=0.0))
    one_step = divergence_from_the_data(by_its_loss)
    assert persistent < best + 0.4 and one_step > best + 1.0


# --- Chains and their contexts -----------------------------------------------------------------------------------


def test_a_loss_reads_chains_and_moves_none():
    head, c = bowl(), torch.linspace(-0.5, 0.5, 20)[:, None]
    x = c[:, None]

    def loss():
        return head.loss(x, c, generator=draws.generator(0))

    assert isinstance(head, HasChains) and not head.chains.begun
    assert torch.equal(loss(), loss()) and not head.chains.begun
    head.advance(c, generator=draws.generator(1))
    before = state(head)
    first = loss()
    assert torch.equal(loss(), first) and same(state(head), before)
    head.advance(c, generator=draws.generator(2))
    assert not torch.equal(loss(), first)


def test_a_batch_reads_one_part_of_the_chains_after_another_and_only_the_next_part_moves():
    head, c = bowl(count=60), torch.linspace(-0.5, 0.5, 20)[:, None]
    head.advance(c, generator=draws.generator(0))
    for step in range(1, 7):
        before = head.chains.rows.clone()
        head.advance(c, generator=draws.generator(step))
        part = torch.arange(20) + 20 * (step % 3)
        moved = (head.chains.rows != before).flatten(1).any(1)
        assert moved[part].all() and moved.sum() == 20
        assert torch.equal(head.chains.read(c)[0], head.chains.rows[part])


def test_chains_keep_their_contexts_and_follow_their_density():
    head = bowl(count=600, steps=20)
    for step in range(6):
        c = 0.8 * draws.uniform((200, 1), generator=draws.generator(4, step), like=torch.zeros(())) - 0.4
        if step == 0:
            first = c
        head.advance(c, generator=draws.generator(step))
    rows, c = head.chains.read(torch.zeros(600, 1))
    assert torch.equal(c.sort(0).values, first.repeat(3, 1).sort(0).values)
    assert stats.kstest(((rows[:, 0] - c) / 0.1).flatten().numpy(), stats.norm().cdf).pvalue > 0.01


def test_a_share_of_the_chains_takes_contexts_of_the_batch():
    head = bowl(count=40, fresh=0.3)
    head.advance(torch.zeros(20, 1), generator=draws.generator(0))
    for step, of_the_first in enumerate((40, 34, 28), start=0):
        assert (head.chains.leaf == 0).sum() == of_the_first
        head.advance(torch.full((20, 1), 0.5), generator=draws.generator(1, step))
    for step in range(30):
        head.advance(torch.full((20, 1), 0.5), generator=draws.generator(2, step))
    assert (head.chains.leaf == 0.5).all()


def test_chains_are_fewer_than_a_batch_or_more():
    for count in (7, 50):
        head, c = bowl(count=count, fresh=0.1), torch.zeros(20, 1)
        for step in range(5):
            head.advance(c, generator=draws.generator(step))
        assert head.loss(c[:, None], c, generator=draws.generator(9)).shape == (20,)
        assert head.chains.rows.shape == (count, 1, 1) and head.chains.rows.isfinite().all()


def test_contexts_that_are_learned_are_refused():
    head, c = bowl(), torch.zeros(5, 1)
    head.advance(c, generator=draws.generator(0))
    with pytest.raises(ValueError, match=r"contexts must not be learned.*the objective maximum_likelihood"):
        head.loss(c[:, None], c.clone().requires_grad_(), generator=draws.generator(0))


def test_heads_without_chains_carry_nothing_on():
    for objective in (None, MaximumLikelihood()):
        head = EnergyHead(unit_event(1), Bowl(0.1), objective=objective)
        before = state(head)
        head.advance(torch.zeros(5, 1), generator=draws.generator(0))
        assert head.chains is None and same(state(head), before)


# --- Part of the state -------------------------------------------------------------------------------------------


class Named(nn.Module):
    """A network that reads a context by name."""

    def __init__(self):
        super().__init__()
        self.net = mlp(1)

    def forward(self, x, t, c):
        return self.net(x, t, c["state"])


def persistent(net):
    return EnergyHead(trajectory(), net, objective=PersistentContrastiveDivergence(Langevin(2), count=8, fresh=0.2))


def restricted():
    return RBMHead(binary(), mlp(CHANNELS + 3), hidden=3, chains=PersistentChains(8, fresh=0.2))


KINDS = {
    "energy": lambda: (persistent(mlp(1)), *batch()),
    "named": lambda: (persistent(Named()), batch()[0], {"state": batch()[1]}),
    "machine": lambda: (restricted(), *spins()),
}
EVERY = pytest.mark.parametrize("kind", KINDS)


def made(kind, advances=3):
    head, x, c = KINDS[kind]()
    x = x.double()
    c = {"state": c["state"].double()} if isinstance(c, dict) else c.double()
    for step in range(advances):
        head.advance(c, generator=draws.generator(7, step))
    return head, x, c


@EVERY
def test_what_is_saved_goes_on_as_if_nothing_had_happened(kind):
    head, x, c = made(kind)
    other = made(kind, 0)[0]
    other.load_state_dict(head.state_dict())
    for step in range(3):
        one, two = (some.loss(x, c, generator=draws.generator(8, step)) for some in (head, other))
        assert torch.equal(one, two)
        for some in (head, other):
            some.advance(c, generator=draws.generator(9, step))
        assert same(state(head), state(other))


@EVERY
def test_a_state_without_chains_leaves_none(kind):
    head = made(kind)[0]
    empty = made(kind, 0)[0].state_dict()
    head.load_state_dict(empty)
    assert not head.chains.begun and same(state(head), empty)


@EVERY
def test_chains_that_are_loaded_have_the_dtype_of_the_head_and_go_on(kind):
    head, x, c = made(kind)
    saved = {name: value.float() if value.is_floating_point() else value for name, value in head.state_dict().items()}
    other = made(kind, 0)[0]
    other.load_state_dict(saved)
    assert all(value.dtype == state(head)[name].dtype for name, value in state(other).items())
    other.advance(c, generator=draws.generator(9))
    assert other.loss(x, c, generator=draws.generator(8)).isfinite().all()


def test_another_number_of_chains_is_named():
    head = RBMHead(binary(), mlp(CHANNELS + 3), hidden=3, chains=PersistentChains(100))
    with pytest.raises(ValueError, match="chains must be 100, as this head was built; the loaded state has 8"):
        head.load_state_dict(made("machine")[0].state_dict())


def test_a_head_whose_chains_have_begun_keeps_the_contract():
    check_head(*made("energy"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count must be at least 1; got 0"),
        ({"fresh": -0.1}, r"fresh must lie in \[0, 1\], as a share; got -0.1"),
        ({"fresh": 1.5}, r"fresh must lie in \[0, 1\], as a share; got 1.5"),
    ],
)
def test_impossible_chains_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PersistentChains(**options)
    with pytest.raises(ValueError, match=message):
        PersistentContrastiveDivergence(**options)
