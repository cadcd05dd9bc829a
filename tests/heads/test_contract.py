"""Laws of every head on every event that it supports."""

import copy
import math

import pytest
import torch
from torch import nn

from embodied_gen import draws
from embodied_gen.events import Binary, Trajectory
from embodied_gen.heads import (
    AutoregressiveHead,
    CellwiseHead,
    CRFHead,
    DenoisingScoreMatching,
    EnergyHead,
    FlowHead,
    Guide,
    HasBound,
    HasDrawnBound,
    HasLogProb,
    Langevin,
    MaxEntHead,
    MixtureHead,
    PixelCNNHead,
    PolygonHead,
    RegressionHead,
    TreeCRFHead,
    check_head,
    steer,
)
from embodied_gen.heads.emissions import Bins, Mixtures
from embodied_gen.heads.reads_once import ReadsOnce
from embodied_gen.nets import Net, ResidualMLP
from tests.heads.batches import CONTEXT, batch, trajectory
from tests.heads.builders import autoregressive
from tests.heads.cases import CASES
from tests.heads.networks import mlp


@pytest.mark.parametrize("case", CASES, ids=str)
def test_head_keeps_the_contract(case):
    check_head(case.head(), *case.batch())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_padding_is_left_out_or_learned_as_it_is(case, generator):
    x, c = case.batch()
    head = case.head()
    everything = torch.ones(x.shape[:-1], dtype=torch.bool)
    first = torch.zeros_like(everything)
    first[:, 0] = True
    changed = torch.where(first.unsqueeze(-1), x, -x)

    def loss(event, valid):
        return head.loss(event, c, generator=draws.generator(3), valid=valid)

    torch.testing.assert_close(loss(x, None), loss(x, everything))
    if case.leaves_padding_out:
        torch.testing.assert_close(loss(x, first), loss(changed, first))
        assert not torch.allclose(loss(x, None), loss(x, first))
    else:
        torch.testing.assert_close(loss(x, None), loss(x, first))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_mapping_contexts_work_through_a_network_that_reads_them(case):
    class Reads(nn.Module):
        autoregressive = monotone = contracting = True  # whatever it wraps

        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x, t, c):
            return self.net(x, t, c["state"])

        def start(self, t, c):
            return self.net.start(t, c["state"])

        def step(self, x, state):
            return self.net.step(x, state)

        def extend(self, x, state):
            return self.net.extend(x, state)

    def read_by_name(module):
        for name, child in list(module.named_children()):
            if isinstance(child, Net):
                setattr(module, name, Reads(child))
            else:
                read_by_name(child)

    # The same head with the same weights, read through a name: every law of the contract carries over.
    x, c = case.batch()
    head, named = case.head(), case.head()
    with torch.no_grad():
        for parameter in head.parameters():  # away from layers that start at zero and hide the context
            parameter.add_(0.2 * torch.randn(parameter.shape))
    named.load_state_dict(head.state_dict())
    read_by_name(named)
    # Of the loss, as draws of discrete events change by jumps or not at all.
    assert not torch.equal(*(head.loss(x, k * c, generator=draws.generator(3)) for k in (1, 2)))
    guide = Guide(cost=lambda y: y.square().flatten(2).sum(2), project=lambda y: y.clamp(max=0.5))
    for ask in (
        lambda head, c: head.loss(x, c, generator=draws.generator(3)),
        lambda head, c: head.sample(c, 3, generator=draws.generator(3)),
        lambda head, c: head.sample(c, 2, generator=[draws.generator(3, i) for i in range(5)], guide=guide),
    ):
        torch.testing.assert_close(ask(named, {"state": c}), ask(head, c), rtol=0, atol=0)


@pytest.mark.parametrize("guided", [False, True], ids=["free", "guided"])
@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.head(), ReadsOnce)], ids=str)
def test_networks_of_heads_that_read_once_see_each_context_once_whatever_the_number_of_draws(case, guided):
    head, c = case.head(), case.batch(3)[1]
    guide = Guide(cost=lambda y: y.square().flatten(2).sum(2)) if guided else None
    read: dict[str, list[int]] = {}

    def note(name, given):
        if given[-1].shape[1:] == c.shape[1:]:
            read.setdefault(name, []).append(len(given[-1]))

    for name, part in head.named_children():
        part.register_forward_hook(lambda part, given, output, name=name: note(name, given))
    head.sample(c, 1, generator=draws.generator(4), guide=guide)
    for_one, read = read, {}
    together = head.sample(c, 4, generator=draws.generator(4), guide=guide)
    assert read == for_one and all(set(rows) == {3} for rows in read.values()) and read
    apart = head.sample(c.repeat_interleave(4, 0), 1, generator=draws.generator(4), guide=guide)
    torch.testing.assert_close(together.flatten(0, 1), apart.flatten(0, 1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_no_contexts_there_are_no_samples(case):
    head, c = case.head(), case.batch()[1][:0]
    guide = Guide(cost=lambda y: y.flatten(2).sum(2), margins=lambda y: y.flatten(2))
    assert head.sample(c, 3, generator=draws.generator(0)).shape == (0, 3, *head.event.shape)
    told = head.certified(c, 2, generator=[], guide=guide)
    assert told.x.shape == (0, 2, *head.event.shape) and told.weight.shape == (0, 2)


@pytest.mark.parametrize("case", [case for case in CASES if case.loss_tells], ids=str)
def test_training_lowers_the_loss_on_one_batch(case):
    x, c = case.batch(16)
    head = case.head()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    # Many draws of noise for each example, so that few steps tell.
    many, context = x.repeat(40, *[1] * (x.ndim - 1)), c.repeat(40, 1)
    few = slice(16 * 4)

    def measure():
        with torch.no_grad():
            return head.loss(many, context, generator=draws.generator(9)).mean().item()

    before = measure()
    for step in range(60):
        optimizer.zero_grad()
        head.loss(many[few], context[few], generator=draws.generator(step)).mean().backward()
        optimizer.step()
    after = measure()
    assert after < before - 0.02 * abs(before)  # of the same noise, of which no network can do away with some


def single(case, event):
    """The head of a case for an event of a single entry."""
    if isinstance(case.head(), AutoregressiveHead):
        bins = isinstance(case.head().emission, Bins)
        return autoregressive(event, Bins(16) if bins else Mixtures(1, components=3))
    width = MixtureHead.width(1, 3) if case.name.startswith("mixture") else 1
    net = ResidualMLP(horizon=1, channels_in=1, channels_out=width, context=CONTEXT, width=16, depth=1)
    return MixtureHead(event, net, components=3) if case.name.startswith("mixture") else type(case.head())(event, net)


# Flows have their own integrals over planes, as most of them need two entries. What is counted is summed over all of it
# by the tests of its own family. A lower bound integrates to less than one; how much less, its own tests say.
OTHERWISE = (CellwiseHead, CRFHead, FlowHead, MaxEntHead, PixelCNNHead, PolygonHead, TreeCRFHead)
DENSITIES = [
    c
    for c in CASES
    if isinstance(c.head(), HasLogProb)
    and not isinstance(c.head(), OTHERWISE)
    and not isinstance(c.head().event, Binary)
    and not c.bounds
]


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.head(), HasLogProb)], ids=str)
def test_densities_that_are_bounds_say_so(case):
    head = case.head()
    assert isinstance(head, HasBound) == case.bounds
    if isinstance(head, HasDrawnBound):
        x, c = case.batch()
        told = head.bound(x, c, generator=draws.generator(0))
        assert told.shape == (len(x),) and told.isfinite().all()


@pytest.mark.parametrize("case", DENSITIES, ids=str)
def test_densities_integrate_to_one(case, double):
    # Along one entry with the others fixed, a density ratio integrates to the conditional's one: on a grid,
    # sum p(x) dx over that entry equals the marginal of the others, which `valid` computes for mixtures and
    # a closed form gives for normals. Here: an event of a single entry, where the integral is 1.
    event = Trajectory(1, [-1.0], [1.0])
    grid = torch.linspace(-12, 12, 4801)[:-1] + 0.0025  # midpoints, which are exact for steps between the others
    c = batch(1)[1].double().expand(len(grid), -1)
    head = single(case, event)
    total = head.log_prob(grid.view(-1, 1, 1), c).exp().sum() * (grid[1] - grid[0])
    assert total.item() == pytest.approx(1, abs=1e-6)


def test_check_head_finds_a_loss_that_is_averaged():
    class Averaged(nn.Module):
        pass

    head = copy.deepcopy(CASES[0].head())
    loss = type(head).loss
    head.loss = lambda *args, **kwargs: loss(head, *args, **kwargs).mean()
    with pytest.raises(AssertionError, match="loss must have shape"):
        from embodied_gen.heads import check

        check._loss_has_one_value_for_each_example(head, *batch(), 0)


def test_check_head_finds_a_parameter_without_gradient():
    head = RegressionHead(trajectory(), mlp())
    head.extra = nn.Parameter(torch.zeros(1))
    with pytest.raises(AssertionError, match="extra"):
        check_head(head, *batch())


class Shifted(nn.Module):
    """An energy with a constant that no loss of slopes can see."""

    def __init__(self, used):
        super().__init__()
        self.net = mlp(1)
        self.constant = nn.Parameter(torch.zeros(1))
        self.used = used

    def forward(self, x, t, c):
        return self.net(x, t, c) + self.used(self.constant, x)


def test_check_head_lets_a_loss_ignore_the_free_constant_of_an_energy_and_nothing_else():
    def head(used):
        return EnergyHead(trajectory(), Shifted(used), objective=DenoisingScoreMatching(), sampler=Langevin(3))

    check_head(head(lambda constant, x: constant), *batch())
    with pytest.raises(AssertionError, match="constant"):
        check_head(head(lambda constant, x: 0 * constant), *batch())
    with pytest.raises(AssertionError, match="constant"):
        check_head(head(lambda constant, x: constant * x[..., :1].sign()), *batch())


def test_check_head_finds_draws_from_the_global_state():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x, t, c):
            return self.net(x, t, c) + 1e-3 * torch.randn(len(x), 1, 1)

    with pytest.raises(AssertionError, match="same generator state"):
        check_head(RegressionHead(trajectory(), Noisy()), *batch())


class Guided(RegressionHead):
    """A regression that answers a guide by a rule of its own."""

    def __init__(self, rule):
        super().__init__(trajectory(), mlp())
        self.rule = rule

    def _sample(self, c, rows, generator, guide):
        x = super()._sample(c, rows, generator, None)
        return x if guide is None else self.rule(x, guide)


def by_the_raw_gradient(x, guide):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(guide.potential(x).sum() + 0 * x.sum(), x)
    return x.detach() - slope


def away_from_constraints(x, guide):
    return x + 0.5 if guide.guide.margins is not None else steer(x, 0.01, guide)


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        (by_the_raw_gradient, "samples must stay in range at scale"),
        (lambda x, guide: x * math.nan, "samples must stay finite at scale 1"),
        (lambda x, guide: x + 0.1 * (guide.guide.cost is not None), "a guide of scale 1 must not raise the cost"),
        (away_from_constraints, "constraints must not make fewer samples feasible"),
    ],
)
def test_check_head_finds_a_head_that_breaks_under_a_guide(rule, law):
    with pytest.raises(AssertionError, match=law):
        check_head(Guided(rule), *batch())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_guides_wrong_shape_is_named(case, generator):
    with pytest.raises(ValueError, match=r"cost must have shape \(B, N\)"):
        case.head().sample(case.batch()[1], 2, generator=generator, guide=Guide(cost=lambda y: y.sum()))


def test_a_wrong_number_of_generators_is_named():
    streams = [draws.generator(i) for i in range(2)]
    with pytest.raises(ValueError, match="one for each of the 5 contexts; got 2"):
        CASES[0].head().sample(batch()[1], generator=streams)
