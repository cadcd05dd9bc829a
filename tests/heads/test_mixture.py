import math

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn import functional

from embodied_gen import draws
from embodied_gen.events import Trajectory
from embodied_gen.heads import Guide, MixtureHead
from tests.heads.analytic import Constant, unit_event

pytestmark = pytest.mark.usefixtures("double")
STEPS, CHANNELS, K = 3, 2, 4


def event():
    return Trajectory(STEPS, [-1.0, 2.0], [3.0, 2.5])


class Random(nn.Module):
    """Any output for each context: a fixed random linear map."""

    def __init__(self, width):
        super().__init__()
        self.map = nn.Linear(2, STEPS * width)
        self.width = width

    def forward(self, x, t, c):
        return self.map(c).view(len(x), STEPS, self.width)


def head(smallest=0.01):
    return MixtureHead(event(), Random(MixtureHead.width(CHANNELS, K)), components=K, smallest=smallest)


def contexts(rows):
    return 2 * torch.randn(rows, 2, generator=draws.generator(1))


def parameters(mixture, c):
    """Weights, means and deviations as the layout of the output says: K means, K raw deviations, K logits."""
    output = mixture.net(None if c is None else c, None, c).detach()
    mean = output[..., : K * CHANNELS].unflatten(-1, (K, CHANNELS)).movedim(2, 1)
    raw = output[..., K * CHANNELS : 2 * K * CHANNELS].unflatten(-1, (K, CHANNELS)).movedim(2, 1)
    weight = output[..., 2 * K * CHANNELS :].mean(1).softmax(-1)
    return weight, mixture.centres.detach() + mean, mixture.smallest + functional.softplus(raw - 1)


def reference(mixture, c):
    weight, mean, deviation = parameters(mixture, c)
    return MixtureSameFamily(Categorical(weight), Independent(Normal(mean, deviation), 2))


def test_the_log_probability_is_that_of_the_mixture_of_torch():
    mixture, c = head(), contexts(20)
    x = torch.randn(20, STEPS, CHANNELS, generator=draws.generator(2))
    expected = reference(mixture, c).log_prob(x)
    torch.testing.assert_close(mixture.log_prob(x, c), expected)
    loss = mixture.loss(x, c, generator=draws.generator(0))
    torch.testing.assert_close(loss, -expected / (STEPS * CHANNELS))


def test_padding_leaves_the_exact_marginal_of_the_other_parts():
    mixture, c = head(), contexts(20)
    x = torch.randn(20, STEPS, CHANNELS, generator=draws.generator(2))
    valid = torch.rand(20, STEPS, generator=draws.generator(3)) < 0.6
    loss = mixture.loss(x, c, generator=draws.generator(0), valid=valid)
    weight, mean, deviation = parameters(mixture, c)
    for row in range(20):
        kept = valid[row]
        marginal = MixtureSameFamily(
            Categorical(weight[row]), Independent(Normal(mean[row][:, kept], deviation[row][:, kept]), 2)
        )
        expected = marginal.log_prob(x[row][kept]) if kept.any() else torch.tensor(0.0)
        torch.testing.assert_close(-loss[row] * STEPS * CHANNELS, expected)


def test_the_marginal_is_the_integral_of_the_density_over_the_padding():
    single = Trajectory(2, [-1.0], [1.0])
    mixture = MixtureHead(single, Constant(2, MixtureHead.width(1, 3)), components=3)
    with torch.no_grad():
        mixture.net.output.normal_(generator=draws.generator(4))
    grid = torch.linspace(-30, 30, 30_001)
    x = torch.stack([torch.full_like(grid, 0.3), grid], 1).unsqueeze(2)
    integral = mixture.log_prob(x, torch.zeros(len(grid), 1)).exp().sum() * (grid[1] - grid[0])
    valid = torch.tensor([[True, False]])
    marginal = -2 * mixture.loss(x[:1], torch.zeros(1, 1), generator=draws.generator(0), valid=valid)
    assert marginal.item() == pytest.approx(integral.log().item(), abs=1e-6)


def separated(weight, deviation=0.05):
    """A head of one entry whose components do not overlap: means -0.8, 0, 0.8."""
    mixture = MixtureHead(unit_event(1), Constant(1, MixtureHead.width(1, 3)), components=3)
    with torch.no_grad():
        mixture.centres.copy_(torch.tensor([-0.8, 0.0, 0.8]).view(3, 1, 1))
        mixture.net.output[0, 3:6] = math.log(math.expm1(deviation - mixture.smallest)) + 1
        mixture.net.output[0, 6:] = torch.tensor(weight).log()
    return mixture


WEIGHT = [0.5, 0.2, 0.3]


@pytest.mark.parametrize("n", [1, 500])
def test_draws_visit_each_component_as_often_as_its_weight_and_are_normal_around_its_mean(n):
    x = separated(WEIGHT).sample(torch.zeros(3000 // n, 1), n, generator=draws.generator(5)).flatten()
    component = ((x + 1.2) / 0.8).floor().long()
    counts = torch.bincount(component, minlength=3)
    assert stats.chisquare(counts.numpy(), [3000 * w for w in WEIGHT]).pvalue > 0.01
    standard = (x - 0.8 * (component - 1)) / 0.05
    assert stats.kstest(standard.numpy(), stats.norm.cdf).pvalue > 0.01
    for k in range(3):
        mean = standard[component == k].mean().item()
        assert abs(mean) < 4 / math.sqrt(counts[k])


def test_all_steps_of_a_draw_come_from_the_same_component():
    mixture = MixtureHead(Trajectory(5, [-1.0], [1.0]), Constant(5, MixtureHead.width(1, 2)), components=2)
    with torch.no_grad():
        mixture.centres.copy_(torch.tensor([-0.8, 0.8]).view(2, 1, 1).expand(2, 5, 1))
        mixture.net.output[:, 2:4] = -5.0
    x = mixture.sample(torch.zeros(1, 1), 200, generator=draws.generator(5))[0, :, :, 0]
    assert (x.sign() == x[:, :1].sign()).all()
    assert 60 < (x[:, 0] > 0).sum() < 140


def test_draws_have_the_density_that_the_head_states():
    # E[-log p] over draws is the entropy; the same mean over draws of torch's mixture agrees.
    mixture, c = head(smallest=0.3), contexts(1)
    x = mixture.sample(c, 4000, generator=draws.generator(6))[0]
    surprise = -mixture.log_prob(x, c.expand(4000, 2)).detach()
    torch.manual_seed(0)
    theirs = -reference(mixture, c).log_prob(reference(mixture, c).sample((4000,)).squeeze(1))
    assert stats.ks_2samp(surprise.numpy(), theirs.numpy()).pvalue > 0.01


def test_guided_draws_tend_to_the_exact_conditional():
    # Each normal times exp(-scale (y - goal)^2 / 2) is a normal again, of weight N(goal; m, s^2 + 1 / scale).
    scale, goal, deviation = 8.0, 0.3, 0.2
    mixture = separated(WEIGHT, deviation)
    mixture.candidates = 400
    guide = Guide(cost=lambda y: (y - goal).square().flatten(2).sum(2) / 2, scale=scale)
    x = mixture.sample(torch.zeros(20, 1), 100, generator=draws.generator(7), guide=guide).flatten()
    mean = torch.tensor([-0.8, 0.0, 0.8])
    weight = torch.tensor(WEIGHT) * Normal(mean, math.sqrt(deviation**2 + 1 / scale)).log_prob(torch.tensor(goal)).exp()
    precision = 1 / deviation**2 + scale
    tilted = stats.norm(((mean / deviation**2 + scale * goal) / precision).numpy(), precision**-0.5)
    weight = (weight / weight.sum()).numpy()
    assert stats.kstest(x.numpy(), lambda v: (tilted.cdf(v[:, None]) * weight).sum(1)).pvalue > 0.01
    free = mixture.sample(torch.zeros(20, 1), 100, generator=draws.generator(7)).flatten()
    assert stats.kstest(free.numpy(), lambda v: (tilted.cdf(v[:, None]) * weight).sum(1)).pvalue < 1e-6


@pytest.mark.parametrize("guide", [None, Guide(cost=lambda y: 0 * y.flatten(2).sum(2))])
def test_draws_of_every_context_come_from_its_own_components(guide):
    class Follows(nn.Module):
        """One narrow component whose mean is the context."""

        def forward(self, x, t, c):
            return torch.stack([c, torch.full_like(c, -9.0), torch.zeros_like(c)], -1)

    mixture = MixtureHead(unit_event(1), Follows(), components=1)
    with torch.no_grad():
        mixture.centres.zero_()
    c = torch.tensor([-0.7, 0.1, 0.6, 0.9]).view(-1, 1)
    x = mixture.sample(c, 5, generator=draws.generator(8), guide=guide)
    torch.testing.assert_close(x[..., 0, 0], c.expand(4, 5), rtol=0, atol=0.06)


def test_one_candidate_under_a_guide_is_a_free_draw():
    mixture = separated(WEIGHT)
    mixture.candidates = 1
    guide = Guide(cost=lambda y: y.flatten(2).sum(2), scale=1e3)
    c = torch.zeros(4, 1)
    guided, free = (mixture.sample(c, 5, generator=draws.generator(8), guide=g) for g in (guide, None))
    assert torch.equal(guided, free)


def test_training_finds_two_modes_and_their_weights():
    mixture = MixtureHead(unit_event(1), Constant(1, MixtureHead.width(1, 2)), components=2)
    optimizer = torch.optim.Adam(mixture.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    for step in range(300):
        g = draws.generator(9, step)
        mode = (torch.rand(300, generator=g) < 0.7).double()
        x = (1.2 * mode - 0.6 + 0.1 * torch.randn(300, generator=g)).view(-1, 1, 1)
        optimizer.zero_grad()
        mixture.loss(x, torch.zeros(300, 1), generator=g).mean().backward()
        optimizer.step()
        scheduler.step()
    parts = mixture._forward(torch.zeros(1, 1))
    order = parts.mean.flatten().argsort()
    torch.testing.assert_close(parts.mean.flatten()[order], torch.tensor([-0.6, 0.6]), rtol=0, atol=0.02)
    torch.testing.assert_close(parts.deviation.flatten(), torch.tensor([0.1, 0.1]), rtol=0.1, atol=0)
    torch.testing.assert_close(parts.log_weight.exp().flatten()[order], torch.tensor([0.3, 0.7]), rtol=0, atol=0.03)


@pytest.mark.parametrize("smallest", [0.01, 0.5])
def test_deviations_are_never_below_the_smallest(smallest):
    mixture = head(smallest)
    with torch.no_grad():
        mixture.net.map.bias.fill_(-1e3)
    c = contexts(5)
    assert (mixture._forward(c).deviation >= smallest).all()
    assert mixture.log_prob(torch.zeros(5, STEPS, CHANNELS), c).isfinite().all()


def test_components_start_apart():
    centres = head().centres.flatten(1)
    assert torch.cdist(centres, centres)[~torch.eye(K, dtype=torch.bool)].min() > 0.1


def test_a_network_of_a_wrong_width_is_named():
    mixture = MixtureHead(unit_event(2), Constant(1, 7), components=4)
    with pytest.raises(ValueError, match=r"must return shape \(B, 1, 20\); got \(3, 1, 7\).*MixtureHead.width"):
        mixture.log_prob(torch.zeros(3, 1, 2), torch.zeros(3, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "must be at least 1; got 0 and 64"),
        ({"candidates": 0}, "must be at least 1; got 8 and 0"),
        ({"smallest": 0.0}, "smallest must be positive; got 0.0"),
    ],
)
def test_impossible_mixtures_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MixtureHead(unit_event(1), Constant(1, 24), **options)
