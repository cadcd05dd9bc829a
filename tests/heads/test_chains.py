"""Chains against closed forms, and a population that finds the best place."""

import math

import pytest
import torch
from scipy import stats

from embodied_gen import draws
from embodied_gen.heads import Hamiltonian, Langevin, RandomWalk, Resampling
from embodied_gen.heads.chains import choose
from tests.heads.analytic import two_modes

pytestmark = pytest.mark.usefixtures("double")

CHAINS = {
    "walk": lambda **o: RandomWalk(300, **({"step": 2.0} | o)),
    "langevin": lambda **o: Langevin(100, **o),
    "hamiltonian": lambda **o: Hamiltonian(60, **o),
}
EVERY = pytest.mark.parametrize("make", CHAINS.values(), ids=CHAINS)


def normal(mean, deviation):
    return lambda z: ((z - mean) / deviation).square().flatten(1).sum(1) / 2


def spread(rows, *shape, seed=0, width=1.0):
    return width * draws.normal((rows, *shape), generator=draws.generator(seed), like=torch.zeros(()))


@EVERY
@pytest.mark.parametrize(("mean", "deviation"), [(0.5, 1.0), (-1.0, 0.05)])
def test_chains_reach_a_normal(make, mean, deviation):
    z = make().move(normal(mean, deviation), spread(1500, 1), generator=draws.generator(1))
    assert stats.kstest(z.flatten().numpy(), stats.norm(mean, deviation).cdf).pvalue > 0.01


@EVERY
def test_chains_reach_a_correlated_normal(make):
    precision = torch.tensor([[4.0, 1.8], [1.8, 1.0]])
    z = make().move(lambda z: (z @ precision * z).sum(1) / 2, spread(3000, 2), generator=draws.generator(1))
    torch.testing.assert_close(z.T.cov(), precision.inverse(), rtol=0.12, atol=0.1)
    assert z.mean(0).abs().max() < 4 * precision.inverse().diagonal().max().sqrt() / math.sqrt(3000)


@EVERY
def test_every_row_finds_a_step_of_its_own(make):
    deviation = torch.tensor([0.02, 1.0]).repeat(800)[:, None]
    start = 1.5 * deviation + deviation * spread(1600, 1)
    z = make().move(normal(0.0, deviation), start, generator=draws.generator(1)) / deviation
    for part in (z[::2], z[1::2]):
        assert stats.kstest(part.flatten().numpy(), stats.norm.cdf).pvalue > 0.01


@EVERY
def test_modes_are_visited_as_often_as_they_weigh(make):
    truth = two_modes(0.7)

    def potential(z):
        k = (z[:, None] - truth.mean).square().sum(2) / (2 * truth.deviation**2) + 2 * truth.deviation.log()
        return -torch.logsumexp(truth.weight.log() - k, 1)

    k, rows = 128, 1500
    start = 3 * draws.uniform((rows * k, 2), generator=draws.generator(2), like=torch.zeros(())) - 1.5
    z = make(starts=k).run(potential, start, generator=draws.generator(1))
    first = z[:, 0] > 0
    assert first.double().mean().item() == pytest.approx(0.7, abs=0.05)
    for mode, part in enumerate((z[first], z[~first])):
        deviation = truth.deviation[mode].item()
        assert (part.mean(0) - truth.mean[mode]).abs().max() < 4 * deviation / math.sqrt(len(part))
        torch.testing.assert_close(part.std(0), truth.deviation[mode].expand(2), rtol=0.15, atol=0)


@pytest.mark.parametrize(
    "chain",
    [RandomWalk(1, step=1.5), Langevin(1, step=0.7), Hamiltonian(1, step=0.7, leapfrogs=3)],
    ids=lambda c: type(c).__name__,
)
def test_one_step_is_in_detailed_balance(chain):
    # Of stationary pairs (z, z'), any E[f(z) g(z')] equals E[g(z) f(z')]. The density is not a normal's.
    rows = 40_000
    z = torch.as_tensor(stats.gennorm(4).rvs(rows, random_state=0))[:, None]
    after = chain.move(lambda z: z.pow(4).sum(1), z, generator=draws.generator(3))
    assert 0.1 < (after != z).double().mean() <= 1
    for f, g in ((torch.sin, torch.square), (torch.exp, lambda v: v.pow(3)), (lambda v: (v > 0.3).double(), torch.cos)):
        difference = f(z) * g(after) - g(z) * f(after)
        assert difference.mean().abs() < 4 * difference.std() / math.sqrt(rows)


@EVERY
@pytest.mark.parametrize("outside", [math.inf, math.nan])
def test_rows_come_in_from_impossible_places_and_never_go_back(make, outside):
    def potential(z):
        return torch.where((z > 0).flatten(1).all(1), z.flatten(1).sum(1), outside)

    z = make(step=0.5).move(potential, spread(800, 1).abs() - 0.2, generator=draws.generator(1))
    assert (z > 0).double().mean() > 0.9
    inside = make().move(potential, spread(800, 1).abs() + 1e-3, generator=draws.generator(1)).flatten()
    assert (inside > 0).all() and stats.kstest(inside.numpy(), stats.expon.cdf).pvalue > 0.001


@pytest.mark.parametrize("stiffness", [1e4, 1e8, 1e10])
def test_leapfrogs_that_overflow_are_shortened_until_they_do_not(stiffness):
    """A way that led to no number at all left its length as it was: no row ever moved."""
    x = torch.full((200, 2), 0.1, dtype=torch.float32)
    chain = Hamiltonian(60)
    moved = chain.move(lambda x: stiffness * x.square().sum(1) / 2, x, generator=draws.generator(0))
    assert moved.isfinite().all() and (moved != x).any(1).float().mean() > 0.9


def test_short_leapfrogs_are_always_accepted():
    chain = Hamiltonian(1, step=1e-3)
    z = spread(500, 3)
    moved = chain.move(lambda z: z.pow(4).flatten(1).sum(1), z, generator=draws.generator(1))
    assert (moved != z).any(1).all()


@pytest.mark.parametrize(
    "sampler", [RandomWalk(20, starts=3), Langevin(10, starts=3), Hamiltonian(5, starts=3), Resampling(3)]
)
def test_rows_do_not_depend_on_their_neighbours(sampler):
    z = spread(12, 2)
    together = sampler.run(normal(0.0, 1.0), z, generator=[draws.generator(1, i) for i in range(4)])
    alone = sampler.run(normal(0.0, 1.0), z[6:9], generator=[draws.generator(1, 2)])
    torch.testing.assert_close(together[2:3], alone)


def test_places_are_chosen_in_proportion_to_their_weight():
    weight = torch.tensor([0.1, 0.6, 0.3])
    z = torch.arange(3.0).repeat(3000)[:, None]
    chosen = choose(lambda z: -weight.log()[z.long().flatten()], z, 3, generator=draws.generator(1)).long().flatten()
    assert stats.chisquare(torch.bincount(chosen, minlength=3).numpy(), 3000 * weight.numpy()).pvalue > 0.01


@pytest.mark.parametrize("make", [*CHAINS.values(), lambda: Resampling(8)], ids=[*CHAINS, "resampling"])
def test_what_is_no_number_is_as_impossible_as_what_is_infinite(make):
    def potential(outside):
        # Slopes are no numbers either on the other side.
        return lambda z: torch.where(z[:, 0] > 0, z[:, 0], outside * z[:, 0].sqrt())

    sampler = make()
    start = spread(40 * sampler.population, 1)
    nan, infinite = (
        sampler.run(potential(outside), start, generator=draws.generator(1)) for outside in (math.nan, math.inf)
    )
    assert nan.equal(infinite) and (nan > 0).all()


def test_resampling_finds_the_deepest_of_several_wells():
    well, other = torch.tensor([0.6, -0.4]), torch.tensor([-0.6, 0.5])

    def potential(z):
        return -torch.logsumexp(
            torch.stack([-200 * (z - well).square().sum(1), -200 * (z - other).square().sum(1) - 6]), 0
        )

    sampler = Resampling(128, rounds=4, shrink=0.4)
    start = 2 * draws.uniform((50 * 128, 2), generator=draws.generator(0), like=torch.zeros(())) - 1
    z = sampler.run(potential, start, generator=draws.generator(1))
    assert z.shape == (50, 2)
    assert ((z - well).norm(dim=1) < 0.2).double().mean() > 0.95


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Langevin(-1), "steps must be at least 0 and step positive; got -1"),
        (lambda: RandomWalk(step=0.0), "step positive; got 200 and 0.0"),
        (lambda: RandomWalk(starts=0), "starts must be at least 1; got 0"),
        (lambda: RandomWalk(span=0.5), "span must be at least 1; got 0.5"),
        (lambda: Hamiltonian(leapfrogs=0), "leapfrogs must be at least 1; got 0"),
        (lambda: Resampling(0), "candidates must be at least 1 and rounds at least 0; got 0 and 3"),
        (lambda: Resampling(shrink=1.5), r"shrink lie in \(0, 1\]; got 0.33 and 1.5"),
    ],
)
def test_impossible_chains_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
