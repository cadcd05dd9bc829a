from itertools import product

import pytest
import torch
from scipy import stats
from torch import distributions

from embodied_gen import context, draws
from embodied_gen.heads import Guide, VQVAEHead
from embodied_gen.heads.codebook import Codebook
from embodied_gen.nets import ResidualMLP
from tests.heads.analytic import unit_event
from tests.heads.test_vae import Small, train

pytestmark = pytest.mark.usefixtures("double")
P, K = 2, 3
CODES = torch.tensor(list(product(range(K), repeat=P)))


def net(channels=2):
    return ResidualMLP(horizon=1, channels_in=channels, channels_out=channels, context=1, width=16, depth=1)


def head(**options):
    made = VQVAEHead(unit_event(2), net(), net(), net(), positions=P, words=K, width=2, **options)
    stream = draws.generator(3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=stream))
    return made.eval()


def contexts(rows):
    return torch.randn(rows, 1, generator=draws.generator(1))


def test_the_prior_of_all_codes_adds_up_to_one():
    vqvae, c = head(), contexts(4)
    every = vqvae.log_prior(CODES.repeat(4, 1), context.repeat(c, len(CODES))).view(4, -1)
    torch.testing.assert_close(every.exp().sum(1), torch.ones(4))
    assert not torch.allclose(every[0], every[1])


def test_a_code_does_not_depend_on_those_after_it():
    vqvae = head()
    prefix = torch.zeros(1, P, K)
    prefix[0, 0, 1] = 1
    logits = vqvae._logits(prefix, 1 / P, torch.zeros(1, 1))[0, 1]
    first = vqvae._logits(torch.zeros(1, P, K), 0.0, torch.zeros(1, 1))[0, 0]
    expected = first.log_softmax(0)[1] + logits.log_softmax(0)
    code = torch.tensor([[1, k] for k in range(K)])
    torch.testing.assert_close(vqvae.log_prior(code, torch.zeros(K, 1)), expected)


def test_codes_are_drawn_as_often_as_the_prior_says():
    vqvae, c = head(), torch.zeros(4000, 1)
    drawn = vqvae._draw_codes(c, draws.generator(0))
    counts = torch.bincount(drawn[:, 0] * K + drawn[:, 1], minlength=K**P)
    expected = vqvae.log_prior(CODES, c[: len(CODES)]).exp().detach()
    assert stats.chisquare(counts.numpy(), 4000 * (expected / expected.sum()).numpy()).pvalue > 0.01


def mixture(vqvae):
    """p(x | c) at c = 0 by the sum over all codes."""
    c = torch.zeros(len(CODES), 1)
    weight = distributions.Categorical(logits=vqvae.log_prior(CODES, c).detach())
    mean = vqvae.decode(CODES, c).detach()
    normal = distributions.Normal(mean, vqvae.likelihood.deviation().detach())
    return distributions.MixtureSameFamily(weight, distributions.Independent(normal, 2))


def test_the_bound_is_one_term_of_the_exact_density():
    vqvae = head()
    x = torch.randn(200, 1, 2, generator=draws.generator(4))
    bound, exact = vqvae.log_prob(x, torch.zeros(200, 1)), mixture(vqvae).log_prob(x)
    assert (bound <= exact + 1e-9).all()
    code = vqvae.encode(x, torch.zeros(200, 1))
    terms = distributions.Normal(vqvae.decode(code, torch.zeros(200, 1)), vqvae.likelihood.deviation())
    expected = terms.log_prob(x).sum((1, 2)) + vqvae.log_prior(code, torch.zeros(200, 1))
    torch.testing.assert_close(bound, expected)


def test_draws_have_the_exact_density():
    vqvae = head()
    density = mixture(vqvae)
    mine = density.log_prob(vqvae.sample(torch.zeros(1, 1), 2000, generator=draws.generator(0))[0])
    torch.manual_seed(0)
    assert stats.ks_2samp(mine.numpy(), density.log_prob(density.sample((2000,))).numpy()).pvalue > 0.01


def test_guided_draws_tend_to_the_exact_conditional():
    vqvae = head(candidates=64)
    guide = Guide(cost=lambda y: y.sum((2, 3)), scale=2.0)
    x = vqvae.sample(torch.zeros(8, 1), 25, generator=draws.generator(0), guide=guide).flatten(0, 1)
    torch.manual_seed(0)
    free = mixture(vqvae).sample((20_000,))
    cost = free.sum((1, 2))
    expected = (cost * (-2 * cost).softmax(0)).sum()
    assert x.sum((1, 2)).mean().item() == pytest.approx(expected.item(), abs=0.12)
    assert cost.mean() > expected + 0.3


def test_gradients_pass_the_codebook_as_if_it_were_not_there():
    book = Codebook(P, K, 2, softness=0.1)
    encoding = torch.randn(5, P, 2, generator=draws.generator(0)).requires_grad_()
    found = book(encoding)
    torch.testing.assert_close(found.words, book.look_up(found.chosen))
    distance = (encoding[:, :, None] - book.words).norm(dim=-1)
    assert found.chosen.equal(distance.argmin(-1))
    weight = torch.randn(5, P, 2, generator=draws.generator(1))
    (gradient,) = torch.autograd.grad((weight * found.words).sum(), encoding, retain_graph=True)
    torch.testing.assert_close(gradient, weight)
    torch.testing.assert_close(found.commit, distance.amin(-1).square().sum(1))
    for force, still in ((found.pull, encoding), (found.commit, book.words)):
        (slope,) = torch.autograd.grad(force.sum(), still, allow_unused=True, retain_graph=True)
        assert slope is None


def test_a_hard_pull_is_the_distance_of_the_nearest_word_and_a_soft_one_moves_every_word():
    encoding = torch.randn(5, P, 2, generator=draws.generator(0))
    hard = Codebook(P, K, 2, softness=1e-5)
    found = hard(encoding)
    torch.testing.assert_close(found.pull, found.commit, atol=1e-4, rtol=0)
    soft = Codebook(P, K, 2, softness=1.0)
    soft(encoding).pull.sum().backward()
    assert (soft.words.grad.abs().sum(-1) > 0).all()


def test_training_learns_four_places_with_their_shares_and_uses_the_words():
    vqvae = VQVAEHead(unit_event(2), Small(), Small(), Small(), positions=2, words=4, width=2)
    places = torch.tensor([[-0.8, -0.5], [0.7, -0.6], [-0.6, 0.6], [0.5, 0.8]])
    share = torch.tensor([0.1, 0.2, 0.3, 0.4])

    def events(rows, g):
        mode = torch.multinomial(share, rows, replacement=True, generator=g)
        return (places[mode] + 0.05 * torch.randn(rows, 2, generator=g)).unsqueeze(1)

    train(vqvae, events)
    drawn = vqvae.sample(torch.zeros(1, 1), 2000, generator=draws.generator(1))[0, :, 0]
    distance, nearest = torch.cdist(drawn, places).min(1)
    assert (distance < 0.25).double().mean() > 0.85
    torch.testing.assert_close(torch.bincount(nearest, minlength=4) / 2000, share, atol=0.06, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": 0}, "positions must be at least 1; got 0"),
        ({"words": 1}, "a codebook needs at least 2 words; got 1"),
        ({"softness": 0.0}, r"softness must be positive; got 0.0"),
        ({"commitment": 0.0}, r"commitment must be positive; got 0.0"),
        ({"temperature": -1.0}, r"temperature must be at least 0; got -1.0"),
        ({"candidates": 0}, "candidates must be at least 1; got 0"),
    ],
)
def test_impossible_numbers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        VQVAEHead(unit_event(1), net(1), net(1), net(1), **options)
