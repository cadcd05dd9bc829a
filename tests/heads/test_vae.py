import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import distributions, nn
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.heads import Guide, HierarchicalVAEHead, JointVAEHead, LatentChain, VAEHead
from embodied_gen.heads.latents import through
from embodied_gen.heads.variational import RANGE, Likelihood, Normal
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import unit_event

pytestmark = pytest.mark.usefixtures("double")
DIMENSIONS, Z = 3, 2


class Nothing(nn.Module):
    """The network that is zero: a head is then a linear model."""

    def forward(self, x, t, c):
        return torch.zeros_like(x)


def net(channels=DIMENSIONS):
    return ResidualMLP(horizon=1, channels_in=channels, channels_out=channels, context=1, width=16, depth=1)


class Small(nn.Module):
    """A network for the plane that learns within a few hundred steps."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 48), nn.Tanh(), nn.Linear(48, 2))

    def forward(self, x, t, c):
        return self.layers(torch.cat([x, t.view(-1, 1, 1)], 2))


def raw(log_deviation):
    """What a network must say for a logarithm of a deviation."""
    return RANGE * torch.atanh(log_deviation / RANGE)


def set_deviation(head, deviation):
    with torch.no_grad():
        head.likelihood.log_excess.copy_(torch.as_tensor(deviation - head.likelihood.smallest).log())


class Linear:
    """Probabilistic principal components: x = mu + W z + s e, whose posterior is known."""

    def __init__(self, seed=0, deviation=0.4):
        g = draws.generator(seed)
        directions = torch.linalg.qr(torch.randn(DIMENSIONS, Z, generator=g))[0]
        self.weight = directions * torch.tensor([1.1, 0.6])  # orthogonal columns make the posterior independent
        self.mean = torch.randn(DIMENSIONS, generator=g)
        self.deviation = deviation
        self.covariance = self.weight @ self.weight.T + deviation**2 * torch.eye(DIMENSIONS)

    def marginal(self):
        return distributions.MultivariateNormal(self.mean, self.covariance)

    def events(self, rows):
        g = draws.generator(5)
        z = torch.randn(rows, Z, generator=g)
        return (self.mean + z @ self.weight.T + self.deviation * torch.randn(rows, DIMENSIONS, generator=g))[:, None]

    def head(self, off=0.0, **options):
        """The head with these weights, and with the exact posterior where `off` is zero."""
        head = VAEHead(unit_event(DIMENSIONS), Nothing(), Nothing(), latent=Z, **options)
        precision = (self.weight.T @ self.weight).diagonal() + self.deviation**2
        back = self.weight.T / precision[:, None]
        set_deviation(head, self.deviation)
        with torch.no_grad():
            head.lift.linear.weight.copy_(self.weight)
            head.lift.linear.bias.copy_(self.mean)
            head.read.linear.weight.zero_()[:Z].copy_(back)
            head.read.linear.bias[:Z].copy_(off - back @ self.mean)
            head.read.linear.bias[Z:].copy_(raw((self.deviation / precision.sqrt()).log()))
        return head


def none(rows):
    return torch.zeros(rows, 1)


numbers = st.lists(st.floats(-3, 3), min_size=4, max_size=4).map(torch.tensor)


@settings(max_examples=30)
@given(numbers, numbers, numbers)
def test_normals_are_those_of_torch(first, second, z):
    mine, other = Normal.of(first), Normal.of(second)
    theirs, them = (distributions.Normal(n.mean, n.log_deviation.exp()) for n in (mine, other))
    torch.testing.assert_close(mine.log_prob(z[:2]), theirs.log_prob(z[:2]).sum())
    torch.testing.assert_close(mine.divergence(other), distributions.kl_divergence(theirs, them).sum())
    torch.testing.assert_close(mine.divergence(mine), torch.tensor(0.0))


@pytest.mark.parametrize("size", [1e3, -1e3])
def test_no_output_of_a_network_makes_a_normal_overflow(size):
    normal = Normal.of(torch.full((2,), size))
    assert normal.log_prob(torch.zeros(1)).isfinite() and normal.divergence(Normal.standard(torch.zeros(1))).isfinite()


def test_the_bound_of_the_optimal_linear_model_is_the_exact_density():
    linear = Linear()
    x = linear.events(20)
    exact = linear.marginal().log_prob(x[:, 0])
    for importance in (1, 5):  # with the exact posterior every weight is the density itself
        head = linear.head(importance=importance)
        torch.testing.assert_close(head.log_prob(x, none(20)), exact)
        torch.testing.assert_close(head.bound(x, none(20), generator=draws.generator(0)), exact)
    many = x.repeat(4000, 1, 1)
    loss = linear.head().loss(many, none(len(many)), generator=draws.generator(0)).view(4000, 20)
    torch.testing.assert_close(loss.mean(0) * DIMENSIONS, -exact, atol=0.08, rtol=0)


def test_the_bound_grows_with_its_draws_and_stays_below_the_density():
    linear = Linear()
    x = linear.events(200)
    exact = linear.marginal().log_prob(x[:, 0]).mean()
    bounds = []
    for importance in (1, 4, 32, 256):
        head = linear.head(off=0.6, importance=importance)
        over = [head.bound(x, none(200), generator=draws.generator(3, stream)).mean() for stream in range(20)]
        bounds.append(torch.stack(over).mean())
    assert all(low < high for low, high in zip(bounds, [*bounds[1:], exact], strict=True))
    assert exact - bounds[0] > 0.3 and exact - bounds[-1] < 0.2 * (exact - bounds[0])


def test_the_bound_is_a_function_of_its_row_alone():
    linear = Linear()
    x, head = linear.events(6), linear.head(off=0.5)
    together = head.log_prob(x, none(6))
    alone = torch.cat([head.log_prob(row[None], none(1)) for row in x])
    torch.testing.assert_close(together, alone)
    assert head.log_prob(x, none(6)).equal(together)
    own = head.bound(x, none(6), generator=[draws.generator(i) for i in range(6)])
    last = head.bound(x[5:], none(1), generator=[draws.generator(5)])
    torch.testing.assert_close(own[5:], last)


def test_both_bounds_have_the_same_mean_over_their_draws_and_only_one_has_draws_of_each_row():
    linear = Linear()
    x, head = linear.events(1).expand(500, -1, -1), linear.head(off=0.8, importance=2)
    own = head.bound(x, none(500), generator=draws.generator(1))
    shared = []
    for head.seed in range(500):
        shared.append(head.log_prob(x[:2], none(2)))
        assert shared[-1][0] == shared[-1][1]
    shared = torch.stack(shared)[:, 0]
    assert own.std() > 0.1
    assert abs(own.mean() - shared.mean()) < 4 * own.std() * math.sqrt(2 / 500)


def perturbed(build, seed=3, size=0.2):
    torch.manual_seed(seed)
    head = build()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(size * torch.randn(parameter.shape))
    return head


def vague(head):
    """With the posteriors of a network that says nothing, wide enough that no weight is extreme."""
    with torch.no_grad():
        for read in [head.read] if hasattr(head, "read") else head.encoder_reads:
            read.linear.weight.zero_()
            read.linear.bias.zero_()
    return head


HEADS = {
    "vae": lambda k: VAEHead(unit_event(1), net(1), net(1), latent=1, importance=k),
    "joint": lambda k: JointVAEHead(unit_event(1), net(1), net(1), classes=3, latent=1, importance=k),
    "hierarchical": lambda k: HierarchicalVAEHead(unit_event(1), net(1), net(1), levels=2, latent=1, importance=k),
}


@pytest.mark.parametrize("build", HEADS.values(), ids=HEADS.keys())
def test_with_many_draws_the_bound_integrates_to_one_and_is_the_density_of_draws(build):
    head = vague(perturbed(lambda: build(400)))
    grid = torch.linspace(-6, 6, 81)
    with torch.no_grad():
        density = head.log_prob(grid.view(-1, 1, 1), none(81)).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=0.05)
    x = head.sample(none(1), 1000, generator=draws.generator(1)).flatten()
    distribution = torch.cat([torch.zeros(1), torch.cumulative_trapezoid(density, grid)])
    quantiles = np.interp(x.numpy(), grid.numpy(), distribution.numpy())
    assert stats.kstest(quantiles, stats.uniform.cdf).statistic < 0.1


def test_beta_weighs_the_divergence():
    x = Linear().events(10)
    losses = [Linear().head(beta=beta).loss(x, none(10), generator=draws.generator(0)) for beta in (0.0, 1.0, 3.0)]
    head = Linear().head()
    rate = head.encode(x, none(10)).divergence(Normal.standard(torch.zeros(10, Z)))
    torch.testing.assert_close((losses[1] - losses[0]) * DIMENSIONS, rate)
    torch.testing.assert_close(losses[2] - losses[0], 3 * (losses[1] - losses[0]))


def test_what_is_learned_of_padded_events_is_the_density_of_the_valid_parts():
    event = unit_event(2)
    head = VAEHead(event, Nothing(), Nothing(), latent=1)
    x = torch.randn(5, 1, 2, generator=draws.generator(2))
    nothing = torch.zeros(5, 1, dtype=torch.bool)
    loss = head.loss(x, none(5), generator=draws.generator(0), valid=nothing)
    prior = head.encode(torch.zeros_like(x), none(5)).divergence(Normal.standard(torch.zeros(5, 1)))
    torch.testing.assert_close(loss * 2, prior)  # of nothing there is only the rate


def test_draws_have_the_moments_of_the_model():
    linear = Linear()
    for temperature in (1.0, 0.0):
        x = linear.head(temperature=temperature).sample(none(1), 20_000, generator=draws.generator(0))[0, :, 0]
        covariance = linear.covariance - (1 - temperature) * linear.deviation**2 * torch.eye(DIMENSIONS)
        torch.testing.assert_close(x.T.cov(), covariance, atol=0.05, rtol=0)
        torch.testing.assert_close(x.mean(0), linear.mean, atol=0.04, rtol=0)


def tilted(linear, goal, scale):
    """Of exp(-scale |y - goal|^2 / 2) times the marginal: a normal again."""
    precision = linear.covariance.inverse() + scale * torch.eye(DIMENSIONS)
    mean = torch.linalg.solve(precision, linear.covariance.inverse() @ linear.mean + scale * goal)
    return mean, precision.inverse()


@pytest.mark.parametrize("scale", [0.5, 4.0, 50.0])
def test_guided_draws_are_those_of_the_exact_conditional(scale):
    linear, goal = Linear(), torch.tensor([0.8, -0.5, 0.3])
    guide = Guide(cost=lambda y: (y - goal).square().sum((2, 3)) / 2, scale=scale)
    head = linear.head(chain=LatentChain(steps=60))
    x = head.sample(none(10), 100, generator=draws.generator(3), guide=guide).reshape(-1, DIMENSIONS)
    mean, covariance = tilted(linear, goal, scale)
    for i in range(DIMENSIONS):
        standard = (x[:, i] - mean[i]) / covariance[i, i].sqrt()
        assert stats.kstest(standard.numpy(), stats.norm.cdf).statistic < 0.08


def test_draws_under_a_constraint_are_cut_off_and_never_beyond():
    linear = Linear()
    wall = linear.mean[0] - linear.covariance[0, 0].sqrt()  # a sixth of the free draws is below
    guide = Guide(margins=lambda y: wall - y[..., 0])
    told = linear.head().certified(none(10), 100, generator=draws.generator(3), guide=guide)
    assert told.feasible.all()
    depth = (told.x[..., 0].flatten() - linear.mean[0]) / linear.covariance[0, 0].sqrt()
    cut = stats.truncnorm(-math.inf, -1)
    assert stats.kstest(depth.numpy(), cut.cdf).statistic < 0.06


def test_a_very_strong_guide_leads_to_its_goal():
    linear = Linear(deviation=0.2)
    goal = linear.mean + linear.weight @ torch.tensor([0.7, -0.4])
    guide = Guide(cost=lambda y: (y - goal).square().sum((2, 3)), scale=1e5)
    free, guided = (
        (linear.head().sample(none(4), 8, generator=draws.generator(3), guide=g)[:, :, 0] - goal).norm(dim=2).mean()
        for g in (None, guide)
    )
    assert guided < 0.05 * free


def test_joint_likelihoods_sum_over_the_classes():
    head = perturbed(lambda: JointVAEHead(unit_event(2), net(2), net(2), net(2), classes=3, latent=2))
    g = draws.generator(4)
    x, z, c = (torch.randn(*shape, generator=g) for shape in ((5, 1, 2), (5, 2), (5, 1)))
    numbers = head.read_prior(through(head.prior, torch.zeros(5, 1, 2), 0.0, c))[:, 4:]
    terms = []
    for k in range(3):
        one = functional.one_hot(torch.full((5,), k), 3).double()
        mean = through(head.net, head.lift(torch.cat([z, one], 1)), 0.0, c)
        normal = distributions.Normal(mean, head.likelihood.deviation())
        terms.append(numbers.softmax(1)[:, k] * normal.log_prob(x).sum((1, 2)).exp())
    torch.testing.assert_close(head._log_likelihood(x, z, numbers, c, None), sum(terms).log())


def test_classes_are_drawn_as_often_as_the_prior_says():
    head = JointVAEHead(unit_event(1), Nothing(), Nothing(), Nothing(), classes=3, latent=1, temperature=0.0)
    share = torch.tensor([0.2, 0.5, 0.3])
    with torch.no_grad():
        head.lift.linear.weight.copy_(torch.tensor([[0.0, -1.0, 0.0, 1.0]]))
        head.lift.linear.bias.zero_()
        head.read_prior.linear.weight.zero_()
        head.read_prior.linear.bias.copy_(torch.cat([torch.zeros(2), share.log()]))
    x = head.sample(none(1), 3000, generator=draws.generator(0)).flatten()
    counts = torch.stack([(x == k).sum() for k in (-1, 0, 1)])
    assert stats.chisquare(counts.numpy(), (3000 * share).numpy()).pvalue > 0.01


def test_a_guide_chooses_the_class():
    head = JointVAEHead(unit_event(1), Nothing(), Nothing(), classes=2, latent=1)
    set_deviation(head, torch.full((1, 1), 0.1))
    with torch.no_grad():
        head.lift.linear.weight.copy_(torch.tensor([[0.0, -1.0, 1.0]]))
        head.lift.linear.bias.zero_()
    guide = Guide(cost=lambda y: y.sum((2, 3)), scale=1.0)  # odds exp(2) for the class at -1
    x = head.sample(none(20), 50, generator=draws.generator(3), guide=guide).flatten()
    assert (x < 0).double().mean().item() == pytest.approx(1 / (1 + math.exp(-2)), abs=0.04)


def test_a_hierarchy_of_one_level_is_a_plain_model():
    flat = perturbed(lambda: VAEHead(unit_event(DIMENSIONS), Nothing(), net(), net(), latent=Z))
    deep = HierarchicalVAEHead(unit_event(DIMENSIONS), Nothing(), flat.encoder, flat.prior, levels=1, latent=Z)
    deep.lifts[0], deep.encoder_reads[0], deep.read_prior = flat.lift, flat.read, flat.read_prior
    deep.likelihood = flat.likelihood
    x, c = Linear().events(6), torch.randn(6, 1, generator=draws.generator(1))
    torch.testing.assert_close(deep.log_prob(x, c), flat.log_prob(x, c))
    mine, theirs = (head.sample(c, 2, generator=draws.generator(1)) for head in (deep, flat))
    torch.testing.assert_close(mine, theirs)


def test_a_linear_hierarchy_has_the_covariance_of_its_steps():
    head = HierarchicalVAEHead(unit_event(2), Nothing(), Nothing(), levels=3, latent=2, temperature=0.0)
    covariance = torch.eye(2)
    for level in (2, 1):
        step = head.reads[level - 1].linear
        gain = torch.eye(2) + step.weight[:2] @ head.lifts[level].linear.weight
        with torch.no_grad():
            step.weight[2:] = 0
            step.bias[2:] = raw(torch.tensor([-0.5, -1.0]))
        covariance = gain @ covariance @ gain.T + torch.tensor([-1.0, -2.0]).exp().diag()
    weight = head.lifts[0].linear.weight
    x = head.sample(none(1), 40_000, generator=draws.generator(0))[0, :, 0]
    torch.testing.assert_close(x.T.cov(), (weight @ covariance @ weight.T).detach(), atol=0.02, rtol=0.05)


def bent(rows, g):
    """A thin curved band, x_1 = 1.5 x_0^2 - 0.4."""
    first = 0.5 * torch.randn(rows, 1, 1, generator=g)
    return torch.cat([first, 1.5 * first.square() - 0.4 + 0.05 * torch.randn(rows, 1, 1, generator=g)], 2)


def train(head, events, steps=500):
    """Steps of Adam on 128 events each, at a rate that falls to zero."""
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        g = draws.generator(1, step)
        optimizer.zero_grad()
        head.loss(events(128, g), none(128), generator=g).mean().backward()
        optimizer.step()
        schedule.step()
    return head


BUILDS = {
    "vae": lambda: VAEHead(unit_event(2), Small(), Small(), latent=1),
    "joint": lambda: JointVAEHead(unit_event(2), Small(), Small(), latent=1, classes=3),
    "hierarchical": lambda: HierarchicalVAEHead(unit_event(2), Small(), Small(), levels=2, latent=1),
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS.keys())
def test_training_finds_what_no_single_normal_can(build):
    head = train(build(), bent)
    x = bent(1000, draws.generator(8))
    normal = distributions.MultivariateNormal(x[:, 0].mean(0), x[:, 0].T.cov())
    with torch.no_grad():
        bound, single = head.log_prob(x, none(1000)).mean(), normal.log_prob(x[:, 0]).mean()
    assert bound > single + 0.3
    drawn = head.sample(none(1), 1000, generator=draws.generator(7))[0, :, 0]
    off = drawn[:, 1] - 1.5 * drawn[:, 0].square() + 0.4
    assert off.abs().median() < 0.35


def test_a_network_of_another_shape_is_named():
    head = VAEHead(unit_event(2), nn.Identity(), ResidualMLP(horizon=1, channels_in=2, channels_out=3, context=1))
    with pytest.raises(ValueError, match=r"must return shape \(4, 1, 2\); got \(4, 1, 3\)"):
        head.encode(torch.zeros(4, 1, 2), none(4))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda e, n: VAEHead(e, n, n, latent=0), "latent must be at least 1; got 0"),
        (lambda e, n: VAEHead(e, n, n, beta=-1.0), r"beta must be at least 0; got -1.0"),
        (lambda e, n: VAEHead(e, n, n, temperature=-1.0), r"temperature must be at least 0; got -1.0"),
        (lambda e, n: VAEHead(e, n, n, importance=0), "importance must be at least 1; got 0"),
        (lambda e, n: VAEHead(e, n, n, smallest=0.0), r"smallest must be positive; got 0.0"),
        (lambda e, n: JointVAEHead(e, n, n, classes=1), "classes must be at least 2; got 1. Without classes use VAE"),
        (lambda e, n: HierarchicalVAEHead(e, n, n, levels=0), "levels must be at least 1; got 0"),
        (lambda e, n: LatentChain(0), "candidates must be at least 1; got 0"),
        (lambda e, n: LatentChain(steps=-1), "steps and iterations must be at least 0; got -1 and 10"),
        (lambda e, n: LatentChain(bound=0.0), r"step and bound must be positive; got 0.1 and 0.0"),
    ],
)
def test_impossible_numbers_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build(unit_event(1), Nothing())


def test_the_decoder_is_never_more_certain_than_allowed():
    likelihood = Likelihood(unit_event(1), 0.2)
    with torch.no_grad():
        likelihood.log_excess.fill_(-1e3)
    assert likelihood.deviation().item() == pytest.approx(0.2)
