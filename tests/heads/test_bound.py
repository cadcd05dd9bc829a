"""The variational bound against closed forms for normal data, x ~ N(m, s^2) in each of D entries.

The exact denoiser leaves E|x - x_hat(x_t)|^2 = D s^2 sigma^2 / (alpha^2 s^2 + sigma^2).
"""

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from embodied_gen import draws
from embodied_gen.heads import DenoisingHead, variational_bound
from embodied_gen.heads.analytic import Exact
from embodied_gen.heads.parametrisation import V
from embodied_gen.heads.schedules import Cosine, Karras, Linear, Rectified
from tests.heads.analytic import SCHEDULES, normal, two_modes, unit_event

pytestmark = pytest.mark.usefixtures("double")
EVERY = pytest.mark.parametrize("name", SCHEDULES)
MEAN, DEVIATION, CHANNELS = 0.3, 0.5, 2


def exact_head(schedule, data):
    channels = data.mean.shape[1]
    return DenoisingHead(unit_event(channels), Exact(data, schedule, V()), schedule=schedule, parametrisation=V())


def estimate(schedule, data, steps, rows, seed=0):
    x = data.draw(rows, draws.generator(seed, 0)).unsqueeze(1)
    stream = draws.generator(seed, 1)
    head = exact_head(schedule, data)
    return variational_bound(head, schedule, x, torch.zeros(rows, 1), steps=steps, generator=stream)


def closed_form(schedule, steps):
    """Prior matching, denoising matching and reconstruction by hand, in nat for the whole event."""
    *noisy, _ = schedule.grid(steps)
    left = [(DEVIATION * n.sigma) ** 2 / ((n.alpha * DEVIATION) ** 2 + n.sigma**2) for n in noisy]
    first, last = noisy[0], noisy[-1]
    prior = schedule.initial_deviation**2
    # KL(N(a x, b^2) || N(0, p)) = (a^2 x^2 + b^2 - p - p log(b^2 / p)) / (2 p) with E x^2 = m^2 + s^2.
    moved = first.alpha**2 * (MEAN**2 + DEVIATION**2)
    l_prior = (moved + first.sigma**2 - prior - prior * math.log(first.sigma**2 / prior)) / (2 * prior)
    l_denoising = sum(
        ((then.alpha / then.sigma) ** 2 - (now.alpha / now.sigma) ** 2) / 2 * error
        for (now, then), error in zip(pairwise(noisy), left, strict=False)
    )
    width = (last.sigma / last.alpha) ** 2
    l_reconstruction = left[-1] / (2 * width) + math.log(2 * math.pi * width) / 2
    return CHANNELS * l_prior, CHANNELS * l_denoising, CHANNELS * l_reconstruction


def entropy():
    return CHANNELS * math.log(2 * math.pi * math.e * DEVIATION**2) / 2


@EVERY
@pytest.mark.parametrize("seed", range(3))
def test_every_term_is_its_closed_form_for_normal_data(name, seed):
    schedule = SCHEDULES[name]()
    rows = 20_000
    bound = estimate(schedule, normal(MEAN, DEVIATION, CHANNELS), 12, rows, seed)
    for term, expected in zip(bound, closed_form(schedule, 12), strict=True):
        assert term.shape == (rows,)
        assert term.mean().item() == pytest.approx(expected, abs=4 * term.std().item() / math.sqrt(rows) + 1e-9)
    # The comparison is sharp: the error of the mean is small next to the terms themselves.
    assert bound.total.std().item() / math.sqrt(rows) < 0.01 * sum(map(abs, closed_form(schedule, 12)))


@EVERY
@pytest.mark.parametrize("steps", [2, 10])
def test_each_step_is_the_divergence_of_the_two_posteriors(name, steps):
    schedule = SCHEDULES[name]()
    *noisy, _ = schedule.grid(steps)
    x = torch.full((1, 1, 1), 0.8)

    class Off:
        """An estimate that is wrong by 0.3 whatever it sees."""

        def denoise(self, x_t, t, c):
            return torch.full_like(x_t, 0.5)

    def posterior(now, then, clean):
        """q(x_s | x_t, x), from the product of q(x_t | x_s) and q(x_s | x); its mean without the x_t part."""
        ratio = now.alpha / then.alpha
        forward = now.sigma**2 - ratio**2 * then.sigma**2
        precision = ratio**2 / forward + 1 / then.sigma**2
        return Normal(then.alpha * clean / then.sigma**2 / precision, precision**-0.5)

    expected = sum(
        kl_divergence(posterior(now, then, x), posterior(now, then, torch.tensor(0.5))).item()
        for now, then in pairwise(noisy)
    )
    bound = variational_bound(Off(), schedule, x, torch.zeros(1, 1), steps=steps, generator=draws.generator(0))
    assert bound.denoising.item() == pytest.approx(expected, rel=1e-8)
    last = noisy[-1]
    reconstruction = Normal(torch.tensor(0.5), last.sigma / last.alpha).log_prob(x).item()
    assert bound.reconstruction.item() == pytest.approx(-reconstruction)
    prior = kl_divergence(
        Normal(noisy[0].alpha * x, noisy[0].sigma), Normal(torch.tensor(0.0), schedule.initial_deviation)
    )
    assert bound.prior.item() == pytest.approx(prior.item(), abs=1e-12)


@EVERY
@pytest.mark.parametrize("steps", [2, 5, 20, 80])
def test_the_bound_is_no_less_than_the_entropy_of_the_data(name, steps):
    rows = 4000
    bound = estimate(SCHEDULES[name](), normal(MEAN, DEVIATION, CHANNELS), steps, rows)
    # Control: -log p(x) of the same rows, whose mean is the entropy, removes the noise of the draw of x.
    x = normal(MEAN, DEVIATION, CHANNELS).draw(rows, draws.generator(0, 0))
    loose = bound.total + Normal(MEAN, DEVIATION).log_prob(x).sum(1)
    assert loose.mean().item() > -4 * loose.std().item() / math.sqrt(rows)
    assert sum(closed_form(SCHEDULES[name](), steps)) > entropy()


def gap(schedule, steps):
    return sum(closed_form(schedule, steps)) - entropy()


def test_the_bound_approaches_the_entropy_as_steps_grow_where_levels_come_close():
    schedule = Karras(smallest=0.01, largest=500.0)
    gaps = [gap(schedule, steps) for steps in (50, 500, 5000, 50_000)]
    assert all(0 < fine < coarse / 5 for coarse, fine in pairwise(gaps))
    assert gaps[-1] < 0.01
    # The estimate follows: at 500 steps it is within its standard error of the closed form.
    rows = 500
    total = estimate(schedule, normal(MEAN, DEVIATION, CHANNELS), 500, rows).total
    expected = sum(closed_form(schedule, 500))
    assert total.mean().item() == pytest.approx(expected, abs=4 * total.std().item() / math.sqrt(rows))


def test_on_even_steps_of_a_straight_path_the_bound_keeps_a_gap_near_the_data():
    # Near the data SNR falls by ((k + 1) / k)^2 from level k / n to the next whatever n is, and each of these
    # steps costs (1 / k + 1 / (2 k^2) - log(1 + 1 / k)) nat: in all Euler's constant plus pi^2 / 12 an entry.
    expected = CHANNELS * (0.5772156649015329 + math.pi**2 / 12)
    assert gap(Rectified(), 20_000) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("build", [lambda n: Linear(n, 0.1 / n, 20 / n), Cosine], ids=["linear", "cosine"])
def test_the_bound_of_longer_tables_is_closer_to_the_entropy(build):
    gaps = [gap(build(levels), levels) for levels in (50, 500, 5000)]
    assert all(0 < fine < coarse for coarse, fine in pairwise(gaps))


def test_the_bound_of_a_mixture_is_close_to_its_exact_surprise():
    data, schedule, rows, steps = two_modes(), Karras(smallest=0.01), 1000, 300
    x = data.draw(rows, draws.generator(0, 0))
    components = Normal(data.mean, data.deviation.view(-1, 1)).log_prob(x.unsqueeze(1)).sum(2)
    surprise = -torch.logsumexp(data.weight.log() + components, 1)
    loose = estimate(schedule, data, steps, rows).total - surprise
    error = loose.std().item() / math.sqrt(rows)
    assert error < 0.1
    assert -4 * error < loose.mean().item() < 0.4 + 4 * error


def test_a_wrong_denoiser_has_a_larger_bound():
    schedule = Rectified()
    right = estimate(schedule, normal(MEAN, DEVIATION, CHANNELS), 50, 4000).total
    x = normal(MEAN, DEVIATION, CHANNELS).draw(4000, draws.generator(0, 0)).unsqueeze(1)
    for wrong in (normal(MEAN + 0.2, DEVIATION, CHANNELS), normal(MEAN, 2 * DEVIATION, CHANNELS)):
        head = exact_head(schedule, wrong)
        other = variational_bound(head, schedule, x, torch.zeros(4000, 1), steps=50, generator=draws.generator(0, 1))
        difference = other.total - right
        assert difference.mean().item() > 6 * difference.std().item() / math.sqrt(4000)


def test_the_bound_is_a_function_of_its_generator_and_of_each_row():
    data, schedule = normal(), Rectified()
    first = estimate(schedule, data, 5, 7)
    again = estimate(schedule, data, 5, 7)
    for left, right in zip(first, again, strict=True):
        assert torch.equal(left, right)
    assert torch.equal(first.total, first.prior + first.denoising + first.reconstruction)
    head, x = exact_head(schedule, data), data.draw(3, draws.generator(5)).unsqueeze(1)
    together = variational_bound(
        head, schedule, x, torch.zeros(3, 1), steps=5, generator=[draws.generator(i) for i in range(3)]
    )
    alone = variational_bound(head, schedule, x[2:], torch.zeros(1, 1), steps=5, generator=[draws.generator(2)])
    torch.testing.assert_close(together.total[2:], alone.total)
