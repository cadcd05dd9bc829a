import math

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Normal

from embodied_gen import draws
from embodied_gen.events import Trajectory
from embodied_gen.heads import Guide, RegressionHead, TwoStepHead
from tests.heads.analytic import Constant, unit_event

pytestmark = pytest.mark.usefixtures("double")
EVERY = pytest.mark.parametrize("family", [RegressionHead, TwoStepHead])
STEPS, CHANNELS = 2, 2


def event():
    return Trajectory(STEPS, [-1.0, 2.0], [3.0, 2.5])


class Lookup(nn.Module):
    """One learned output for each of two contexts, whatever else the inputs are."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(2, STEPS, CHANNELS))

    def forward(self, x, t, c):
        return self.table[c[:, 0].long()]


class Recorder(nn.Module):
    """An affine network that remembers what it is asked: f(x_t, t, c) = gain x_t + t + c."""

    def __init__(self, gain=0.5):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.calls = []

    def forward(self, x, t, c):
        self.calls.append((x, t, c))
        return self.gain * x + t.view(-1, 1, 1) + c.view(-1, 1, 1)


def fit(head, draw, steps=300):
    optimizer = torch.optim.Adam(head.parameters(), lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        x, c = draw(step)
        optimizer.zero_grad()
        head.loss(x, c, generator=draws.generator(3, step)).mean().backward()
        optimizer.step()
        scheduler.step()


MEANS = torch.tensor([[[-0.5, 0.1], [0.3, 0.8]], [[0.2, -0.4], [0.0, 0.6]]], dtype=torch.float64)
DEVIATIONS = torch.tensor([[0.1, 0.2], [0.4, 0.05]], dtype=torch.float64)


def skewed(step, rows=400):
    """Rows of both contexts around different means, with residuals that are exponential, not normal."""
    c = torch.arange(rows).remainder(2).double().view(-1, 1)
    u = torch.rand(rows, STEPS, CHANNELS, generator=draws.generator(1, step))
    return MEANS[c[:, 0].long()] + DEVIATIONS * (-torch.log1p(-u) - 1), c


@EVERY
def test_the_estimate_converges_to_the_conditional_mean_and_the_deviation_to_that_of_the_residuals(family):
    head = family(event(), Lookup())
    fit(head, skewed)
    estimate = head.estimate(torch.tensor([[0.0], [1.0]]))
    torch.testing.assert_close(estimate, MEANS, rtol=0, atol=0.02)
    torch.testing.assert_close(head.log_deviation.exp(), DEVIATIONS, rtol=0.05, atol=0)


def test_the_gradient_of_the_loss_is_that_of_the_error_and_of_the_likelihood_of_the_deviation():
    head = RegressionHead(event(), Lookup())
    with torch.no_grad():
        head.net.table.normal_(generator=draws.generator(2))
    x, c = skewed(0, rows=6)
    loss = head.loss(x, c, generator=draws.generator(0))
    torch.testing.assert_close(loss, head.event.error(head.estimate(c), x))
    mean, deviation = torch.autograd.grad(loss.sum(), [head.net.table, head.log_deviation])
    (expected,) = torch.autograd.grad(head.event.error(head.estimate(c), x).sum(), [head.net.table])
    torch.testing.assert_close(mean, expected)
    (expected,) = torch.autograd.grad(-head.log_prob(x, c).sum() / (STEPS * CHANNELS), [head.log_deviation])
    torch.testing.assert_close(deviation, expected)


def test_padding_takes_no_part_in_a_regression_or_in_its_deviation():
    head = RegressionHead(event(), Lookup())
    valid = torch.tensor([[True, False], [True, True]])
    x, c = skewed(0, rows=2)
    other = x.clone()
    other[0, 1] = 9
    results = []
    for value in (x, other):
        head.zero_grad()
        loss = head.loss(value, c, generator=draws.generator(0), valid=valid)
        loss.sum().backward()
        results.append((loss.detach(), head.net.table.grad.clone(), head.log_deviation.grad.clone()))
    for left, right in zip(*results, strict=True):
        torch.testing.assert_close(left, right)


@EVERY
def test_the_log_probability_is_that_of_a_normal(family):
    head = family(event(), Recorder())
    with torch.no_grad():
        head.log_deviation.normal_(-1, 0.5, generator=draws.generator(4))
    c = torch.tensor([0.3, -0.2, 0.9]).view(-1, 1)
    x = torch.randn(3, STEPS, CHANNELS, generator=draws.generator(5))
    expected = Normal(head.estimate(c), head.log_deviation.exp()).log_prob(x).sum((1, 2))
    torch.testing.assert_close(head.log_prob(x, c), expected)


def test_a_regression_asks_its_network_once_about_nothing():
    net = Recorder()
    head = RegressionHead(event(), net)
    c = torch.tensor([[0.3], [0.7]])
    torch.testing.assert_close(head.estimate(c), c.view(-1, 1, 1).expand(2, STEPS, CHANNELS))
    ((x, t, seen),) = net.calls
    assert (x == 0).all() and (t == 0).all() and torch.equal(seen, c)


@pytest.mark.parametrize("refine_at", [0.3, 0.9])
def test_two_steps_follow_their_formula(refine_at):
    net = Recorder()
    head = TwoStepHead(event(), net, refine_at=refine_at)
    c = torch.tensor([[0.3], [0.7]])
    estimate = head.estimate(c)
    (x_0, t_0, _), (x_1, t_1, _) = net.calls
    first = c.view(-1, 1, 1).expand(2, STEPS, CHANNELS)  # f(0, 0, c) = c
    assert (x_0 == 0).all() and (t_0 == 0).all()
    torch.testing.assert_close(x_1, refine_at * first)
    torch.testing.assert_close(t_1, torch.full((2,), refine_at))
    torch.testing.assert_close(estimate, 0.5 * refine_at * first + refine_at + first)

    net.calls.clear()
    x = torch.randn(2, STEPS, CHANNELS, generator=draws.generator(6))
    loss = head.loss(x, c, generator=draws.generator(7))
    z = draws.normal(x.shape, generator=draws.generator(7), like=x)
    (x_0, t_0, _), (x_1, t_1, _), (x_2, t_2, _) = net.calls
    assert (x_0 == 0).all() and (t_0 == 0).all() and (t_1 == refine_at).all()
    torch.testing.assert_close(x_1, refine_at * x + (1 - refine_at) * z)
    torch.testing.assert_close(x_2, refine_at * first)  # the estimate, to whose residuals s is fitted
    assert (t_2 == refine_at).all()
    refined = 0.5 * x_1 + refine_at + first
    error = (first - x).square().mean((1, 2)) + (refined - x).square().mean((1, 2))
    torch.testing.assert_close(loss, error)


@EVERY
def test_draws_without_temperature_are_the_estimate(family):
    head = family(event(), Recorder())
    c = torch.tensor([[0.3], [0.7]])
    x = head.sample(c, 3, generator=draws.generator(0))
    torch.testing.assert_close(x, head.estimate(c).unsqueeze(1).expand(2, 3, STEPS, CHANNELS))


@EVERY
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_draws_are_normal_with_the_deviation_times_the_temperature(family, temperature):
    head = family(event(), Recorder(), temperature=temperature)
    with torch.no_grad():
        head.log_deviation.copy_(DEVIATIONS.log())
    c = torch.tensor([[0.3], [0.7]])
    x = head.sample(c, 500, generator=draws.generator(8)).detach()
    standard = (x - head.estimate(c).detach().unsqueeze(1)) / (temperature * DEVIATIONS)
    for part in standard.flatten(2).unbind(2):
        assert stats.kstest(part.flatten().numpy(), stats.norm.cdf).pvalue > 0.01


@EVERY
@pytest.mark.parametrize("scale", [0.5, 5.0, 100.0])
def test_a_guide_moves_the_estimate_towards_the_mode_of_the_tilted_normal(family, scale):
    # exp(-scale |y - goal|^2 / 2) in physical units, y = centre + half x: precisions add in each entry.
    head = family(event(), Recorder())
    with torch.no_grad():
        head.log_deviation.copy_(DEVIATIONS.log())
    goal = torch.tensor([1.5, 2.3])
    guide = Guide(cost=lambda y: (y - goal).square().flatten(2).sum(2) / 2, scale=scale)
    c = torch.tensor([[0.3]])
    guided = head.sample(c, generator=draws.generator(0), guide=guide)[0, 0]
    free = head.estimate(c)[0].detach()
    prior, likelihood = 1 / DEVIATIONS**2, scale * head.event.half_width**2
    mode = (prior * free + likelihood * head.event.scale(goal)) / (prior + likelihood)

    def surprise(x):
        """-log of the tilted density above that of its mode."""
        return ((prior + likelihood) * (x - mode).square()).sum() / 2

    assert surprise(guided) < 0.2 * surprise(free)
    # The more uncertain of two equal entries gives way more.
    moved = (guided - free).abs()
    assert moved[1, 0] > moved[0, 0] and moved[0, 1] > moved[1, 1]


@pytest.mark.parametrize("temperature", [-1.0, math.nan])
@EVERY
def test_impossible_temperatures_are_refused(family, temperature):
    with pytest.raises(ValueError, match=f"temperature must be at least 0; got {temperature}"):
        family(unit_event(1), Constant(1, 1), temperature=temperature)


@pytest.mark.parametrize("refine_at", [0.0, 1.0, 1.5, math.nan])
def test_impossible_times_of_refinement_are_refused(refine_at):
    with pytest.raises(ValueError, match=f"refine_at must lie strictly between 0 and 1; got {refine_at}"):
        TwoStepHead(unit_event(1), Constant(1, 1), refine_at=refine_at)


@EVERY
def test_a_wrong_shape_is_named(family):
    head = family(event(), Lookup())
    for call in (head.log_prob, lambda x, c: head.loss(x, c, generator=draws.generator(0))):
        with pytest.raises(ValueError, match=r"x must have shape \(B, 2, 2\); got \(3, 2\)"):
            call(torch.zeros(3, 2), torch.zeros(3, 1))
