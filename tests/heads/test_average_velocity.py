"""Average velocities against the flow of a normal, whose average velocity is known."""

import math

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embodied_gen import draws, experiment
from embodied_gen.heads import AverageVelocityHead, DenoisingHead, Guide, HasDenoiser, HasLatent
from embodied_gen.heads.average_velocity import SLOWNESS
from embodied_gen.heads.identities import MeanFlow, Shortcut, Times
from embodied_gen.nets import ResidualMLP, Transformer
from tests.heads.analytic import normal, unit_event
from tests.heads.batches import CHANNELS, CONTEXT, HORIZON, batch, trajectory
from tests.heads.builders import as_after_training
from tests.heads.networks import mlp

pytestmark = pytest.mark.usefixtures("double")

IDENTITIES = {"mean_flow": MeanFlow(), "shortcut": Shortcut(4, instant=0.4)}
EVERY = pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES.keys())
MEAN, DEVIATION = 0.3, 0.4


class OfNormal(nn.Module):
    """The average velocity of the flow from N(0, 1) to N(m, d^2), with two weights that are zero at the truth.

    Along the flow (x_t - (1 - t) m) / s_t stays what it is, where s_t^2 = (1 - t)^2 d^2 + t^2.
    """

    def __init__(self):
        super().__init__()
        self.stretch, self.shift = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, x, t, c):
        x_t, length, t = x[..., :-1], x[..., -1:], t.view(-1, 1, 1) / SLOWNESS
        u = torch.where(length > 0, self.average(x_t, t - length, t, length), self.velocity(x_t, t))
        return u * (1 + self.stretch) + self.shift

    def average(self, x_t, r, t, length):
        x_r = (1 - r) * MEAN + self.width(r) / self.width(t) * (x_t - (1 - t) * MEAN)
        return (x_t - x_r) / length.clamp(min=1e-12)

    def velocity(self, x_t, t):
        rate = (t - (1 - t) * DEVIATION**2) / self.width(t) ** 2
        return -MEAN + rate * (x_t - (1 - t) * MEAN)

    @staticmethod
    def width(t):
        return ((1 - t) ** 2 * DEVIATION**2 + t**2).sqrt()


def exact(**options):
    return AverageVelocityHead(unit_event(1), OfNormal(), **options)


def average_of(head, c):
    return lambda x_t, r, t: head.average(x_t, r, t, c)


@EVERY
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_average_velocity_of_a_flow_satisfies_the_identity(identity, seed):
    head, stream = exact(), draws.generator(seed)
    x_t = 2 * draws.normal((40, 1, 1), generator=stream, like=torch.zeros((), dtype=torch.float64))
    at = identity.times(40, generator=stream, like=x_t)
    v = head.net.velocity(x_t, at.t.view(-1, 1, 1)).detach()
    if isinstance(identity, Shortcut):  # a half of the shortest step is taken for an instant
        whole = (at.t - at.r == 0) | (at.t - at.r > 2.0 ** (1 - identity.halvings))
        x_t, v, at = x_t[whole], v[whole], Times(at.r[whole], at.t[whole])
    residual = identity.residual(average_of(head, torch.zeros(len(x_t), 1)), x_t, v, at)
    torch.testing.assert_close(residual, torch.zeros_like(residual), rtol=0, atol=1e-9)


@pytest.mark.parametrize("identity", [MeanFlow(), Shortcut(9, instant=0.4)], ids=["mean_flow", "shortcut"])
def test_the_truth_is_a_fixed_point_of_training_though_velocities_are_those_of_pairs(identity):
    head, rows = exact(identity=identity), 40_000
    x = MEAN + DEVIATION * draws.normal((rows, 1, 1), generator=draws.generator(1), like=torch.zeros(()))
    loss = head.loss(x, torch.zeros(rows, 1), generator=draws.generator(2))
    slopes = torch.stack(torch.autograd.grad(loss.mean(), (head.net.stretch, head.net.shift)))
    # The deviation of a gradient's mean is about 3 / sqrt(rows), and a shift of a tenth makes it 0.2, or 0.08 where the
    # target moves along.
    assert slopes.abs().max() < 0.05
    with torch.no_grad():
        head.net.shift.fill_(0.1)
    loss = head.loss(x, torch.zeros(rows, 1), generator=draws.generator(2))
    assert torch.autograd.grad(loss.mean(), head.net.shift)[0] > 0.05


def test_one_call_carries_noise_to_the_event_and_more_calls_to_the_same_place():
    z = draws.normal((50, 1), generator=draws.generator(1), like=torch.zeros(()))
    for steps in (1, 2, 5):
        head = exact(steps=steps)
        assert isinstance(head, HasLatent)
        torch.testing.assert_close(head.push(z, torch.zeros(50, 1)).flatten(), MEAN + DEVIATION * z.flatten())


def test_at_one_time_the_network_is_a_denoiser():
    head = exact()
    assert isinstance(head, HasDenoiser)
    x_t = torch.linspace(-2, 2, 9).view(-1, 1, 1)
    for t in (0.1, 0.5, 1.0):
        expected = normal(MEAN, DEVIATION).denoise(x_t.flatten(1), 1 - t, t)
        torch.testing.assert_close(head.denoise(x_t, torch.full((9,), t), torch.zeros(9, 1)).flatten(1), expected)


def any_head(identity):
    return as_after_training(AverageVelocityHead(trajectory(), mlp(channels_in=CHANNELS + 1), identity=identity))


class WithoutLength(nn.Module):
    """A network of average velocities as one of velocities."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, t, c):
        return self.net(torch.cat([x, torch.zeros_like(x[..., :1])], -1), SLOWNESS * t, c)


@pytest.mark.parametrize("identity", [MeanFlow(1.0), Shortcut(4, instant=1.0)], ids=["mean_flow", "shortcut"])
def test_at_one_time_the_loss_is_that_of_flow_matching(identity):
    head = any_head(identity)
    x, c = (part.double() for part in batch(50))
    stream = draws.generator(3)
    t = identity.times(50, generator=stream, like=x).t
    x_t = x + t.view(-1, 1, 1) * (draws.normal(x.shape, generator=stream, like=x) - x)
    flow = DenoisingHead(trajectory(), WithoutLength(head.net))
    x_hat = flow.denoise(x_t, t, c)
    weight = flow.weighting.weight(t, flow.schedule, flow.parametrisation)
    torch.testing.assert_close(head.loss(x, c, generator=draws.generator(3)), weight * head.event.error(x_hat, x))
    torch.testing.assert_close(head.denoise(x_t, t, c), x_hat)


def test_the_derivative_along_the_flow_is_that_of_finite_differences():
    head = any_head(MeanFlow())
    x_t, c = (part.double() for part in batch())
    stream = draws.generator(3)
    v = draws.normal(x_t.shape, generator=stream, like=x_t)
    at = Times(torch.full((5,), 0.2), torch.full((5,), 0.7))
    u, h = head.average(x_t, at.r, at.t, c), 1e-6
    ahead, behind = (head.average(x_t + s * v, at.r, at.t + s, c) for s in (h, -h))
    expected = u - (v - 0.5 * (ahead - behind) / (2 * h))
    residual = head.identity.residual(average_of(head, c), x_t, v, at)
    torch.testing.assert_close(residual, expected, rtol=1e-5, atol=1e-6)


@EVERY
def test_the_target_is_taken_for_a_constant(identity):
    head = any_head(identity)
    x_t, c = (part.double() for part in batch(20))
    stream = draws.generator(3)
    v = draws.normal(x_t.shape, generator=stream, like=x_t)
    at = identity.times(20, generator=stream, like=x_t)
    weights = list(head.net.parameters())
    residual = identity.residual(average_of(head, c), x_t, v, at)
    got = torch.autograd.grad(residual.square().sum(), weights)
    u = head.average(x_t, at.r, at.t, c)
    expected = torch.autograd.grad((u * 2 * residual.detach()).sum(), weights)
    for first, second in zip(got, expected, strict=True):
        torch.testing.assert_close(first, second)


def test_the_loss_goes_through_attention():
    net = Transformer(
        horizon=HORIZON, channels_in=CHANNELS + 1, channels_out=CHANNELS, context=CONTEXT, width=16, depth=1, heads=2
    )
    head = as_after_training(AverageVelocityHead(trajectory(), net))
    x, c = (part.double() for part in batch())
    loss = head.loss(x, c, generator=draws.generator(3))
    assert all((gradient != 0).any() for gradient in torch.autograd.grad(loss.sum(), list(net.parameters())))
    with torch.no_grad():
        torch.testing.assert_close(head.loss(x, c, generator=draws.generator(3)), loss)


@EVERY
def test_times_are_ordered_and_the_share_of_instants_is_as_asked(identity):
    r, t = identity.times(20_000, generator=draws.generator(0), like=torch.zeros(()))
    assert ((r >= 0) & (r <= t) & (t <= 1)).all()
    assert (r == t).double().mean().item() == pytest.approx(identity.instant, abs=0.02)


def test_shortcuts_have_lengths_of_powers_of_two_and_meet_end_to_end():
    r, t = Shortcut(4, instant=0.0).times(5000, generator=draws.generator(0), like=torch.zeros(()))
    length = t - r
    assert set(length.tolist()) == {1.0, 0.5, 0.25, 0.125}
    assert torch.equal(r / length, (r / length).round())


def test_halves_of_the_shortest_step_are_instants():
    asked = []

    def average(x_t, r, t):
        asked.append((t - r).tolist())
        return torch.zeros_like(x_t)

    identity, x = Shortcut(3), torch.zeros(3, 1, 1)
    identity.residual(average, x, x, Times(torch.tensor([0.0, 0.5, 0.25]), torch.tensor([1.0, 1.0, 0.5])))
    assert asked == [[1.0, 0.5, 0.25], [0.5, 0.25, 0.0], [0.5, 0.25, 0.0]]


def test_a_guide_moves_the_noise_that_is_carried():
    guide = Guide(cost=lambda y: (y[..., 0, 0] - MEAN - DEVIATION).square() / (2 * DEVIATION**2))
    x = exact().sample(torch.zeros(600, 1), generator=draws.generator(0), guide=guide).flatten()
    # In units of the noise: N(0, 1) exp(-(z - 1)^2 / 2) is N(1/2, 1/2).
    z = (x - MEAN) / DEVIATION
    assert z.mean().item() == pytest.approx(0.5, abs=0.1) and z.var().item() == pytest.approx(0.5, abs=0.1)


def moons(rows, generator):
    angle = math.pi * torch.rand(rows, generator=generator)
    upper = torch.rand(rows, generator=generator) < 0.5
    x = torch.where(upper, angle.cos(), 1 - angle.cos()) - 0.5
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin()) - 0.25
    noise = torch.randn(rows, 2, generator=generator)
    return (0.6 * torch.stack([x, y], 1) + 0.03 * noise).unsqueeze(1)


def sliced(x, y, directions=100):
    """Sliced Wasserstein-2 distance of two equally large sets of points in the plane."""
    angle = torch.arange(directions) * math.pi / directions
    axes = torch.stack([angle.cos(), angle.sin()])
    return ((x @ axes).sort(0).values - (y @ axes).sort(0).values).square().mean().sqrt().item()


def trained(head, steps, rows=256, rate=1e-3):
    optimizer = torch.optim.Adam(head.parameters(), lr=rate, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        stream = draws.generator(1, step)
        optimizer.zero_grad()
        head.loss(moons(rows, stream), torch.zeros(rows, 1), generator=stream).mean().backward()
        optimizer.step()
        scheduler.step()
    return head


def net_of(channels_in):
    return ResidualMLP(horizon=1, channels_in=channels_in, channels_out=2, context=1, width=64, depth=2, expansion=2.0)


def distance(head):
    x = head.sample(torch.zeros(4000, 1), generator=draws.generator(6)).flatten(1)
    return sliced(x, moons(4000, draws.generator(5)).flatten(1))


def test_one_call_follows_the_flow_where_one_step_of_its_velocity_does_not():
    head = trained(AverageVelocityHead(unit_event(2), net_of(3), identity=Shortcut()), 300, rate=3e-3)
    z = draws.normal((4000, 1, 2), generator=draws.generator(6), like=torch.zeros(()))
    with torch.no_grad():
        euler = head.denoise(z, torch.ones(4000), torch.zeros(4000, 1)).flatten(1)
    assert distance(head) < 0.12 < 0.25 < sliced(euler, moons(4000, draws.generator(5)).flatten(1))


@pytest.mark.slow
@EVERY
def test_one_call_is_learned_as_well_as_many_steps(identity):
    one = distance(trained(AverageVelocityHead(unit_event(2), net_of(3), identity=identity), 2000))
    flow = DenoisingHead(unit_event(2), net_of(2), steps=20, clip=None)
    assert one < distance(trained(flow, 2000)) + 0.04, one


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"kind": "mean_flow", "instant": 0.3}, ("MeanFlow", 0.3, 1)),
        ({"kind": "shortcut", "halvings": 3, "steps": 2}, ("Shortcut", 0.75, 2)),
    ],
    ids=["mean_flow", "shortcut"],
)
@pytest.mark.parametrize("net", [{"kind": "mlp", "width": 16, "depth": 1}, {"kind": "transformer", "width": 16}])
def test_the_identity_is_chosen_by_the_kind_of_the_block(block, expected, net):
    head = experiment.empty(tiny.experiment_of(head=block, net=net), experiment.Sizes(4, 2)).head
    assert isinstance(head, AverageVelocityHead)
    assert (type(head.identity).__name__, head.identity.instant, head.steps) == expected
    assert head.net.channels_in == head.event.shape[-1] + 1
    x = torch.zeros(3, *head.event.shape)
    assert head.loss(x, torch.zeros(3, 8), generator=draws.generator(0)).shape == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: exact(steps=0), "steps must be at least 1; got 0"),
        (lambda: MeanFlow(1.2), r"instant must lie in \[0, 1\]; got 1.2"),
        (lambda: Shortcut(0), "halvings must be at least 1; got 0"),
    ],
)
def test_impossible_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
