"""What objectives of energies are minimal for, where it is known."""

import math

import pytest
import torch

from embodied_gen import draws
from embodied_gen.heads import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    ImplicitScoreMatching,
    InfoNCE,
    Langevin,
    MaximumLikelihood,
    MaxMargin,
    RandomWalk,
    SlicedScoreMatching,
)
from embodied_gen.heads.objectives import Landscape
from tests.heads.analytic import unit_event

pytestmark = pytest.mark.usefixtures("double")


def landscape(energy, channels, reach=1.0):
    return Landscape(energy, lambda c: energy, torch.zeros(1, 0), unit_event(channels), reach)


def bowl(precision):
    """The energy of a normal with mean zero."""
    return lambda x: (x.flatten(1) @ precision * x.flatten(1)).sum(1) / 2


def data(rows, channels, seed=1):
    return draws.normal((rows, 1, channels), generator=draws.generator(seed), like=torch.zeros(()))


def mean(objective, energy, x, seed=2, reach=1.0):
    return objective.loss(landscape(energy, x.shape[2], reach), x, generator=draws.generator(seed)).mean()


@pytest.mark.parametrize("count", [1, 5])
def test_the_optimum_of_info_nce_is_the_ratio_of_densities(count):
    # A density on five cells of [-1, 1]; counter-examples are uniform there.
    weight = torch.tensor([0.1, 0.3, 0.05, 0.35, 0.2])
    rows = 60_000
    cell = draws.categorical(weight.log().expand(rows, -1), generator=draws.generator(1))
    within = draws.uniform((rows,), generator=draws.generator(2), like=weight)
    x = ((cell + within) / 2.5 - 1).view(-1, 1, 1)

    def slope(table):
        table = table.clone().requires_grad_()
        mean(InfoNCE(count), lambda x: table[((x.flatten() + 1) * 2.5).long()], x).backward()
        return table.grad

    best = -(weight / 0.2).log()
    assert slope(best).abs().max() < 4 / math.sqrt(rows)
    assert slope(best + 3).abs().max() < 4 / math.sqrt(rows)  # known up to a constant
    assert slope(best * 0.7).abs().max() > 0.01 and slope(best * 1.3).abs().max() > 0.01


@pytest.mark.parametrize(
    "objective",
    [
        ContrastiveDivergence(Langevin(60), pull=0),
        ContrastiveDivergence(RandomWalk(150), pull=0),
        MaximumLikelihood(Langevin(60, starts=4), pull=0),
    ],
)
def test_the_gradient_of_long_chains_is_that_of_the_likelihood(objective):
    x = 0.5 * data(4000, 2)
    for start in (1.0, 3.0, 6.0):  # below and above the best precision, 4
        precision = torch.tensor(start, requires_grad=True)
        mean(objective, lambda x, p=precision: p * x.square().flatten(1).sum(1) / 2, x).backward()
        exact = x.square().sum(2).mean() / 2 - 1 / start
        assert precision.grad.item() == pytest.approx(exact.item(), abs=5 / start / math.sqrt(4000))


def test_the_pull_holds_the_constant_that_densities_do_not_see():
    x = data(50, 1)
    for pull, expected in ((0.0, 0.0), (0.1, 0.1 * 4 * 3.0)):
        constant = torch.tensor(3.0, requires_grad=True)
        mean(ContrastiveDivergence(Langevin(2), pull=pull), lambda x, b=constant: 0 * x.sum((1, 2)) + b, x).backward()
        assert constant.grad.item() == pytest.approx(expected)


def test_slopes_are_penalised_beyond_the_limit_within_the_bounds():
    still = RandomWalk(0)
    x = data(30, 2).clamp(-1, 1)

    def energy(x):
        return 3 * x.sum((1, 2))

    def loss(limit, reach=1.0):
        return mean(InfoNCE(8, chain=still, penalty=2.0, limit=limit), energy, x, reach=reach)

    free = mean(InfoNCE(8), energy, x)
    torch.testing.assert_close(loss(3.0), free)
    torch.testing.assert_close(loss(2.5), free + 2.0 * 0.25)
    assert mean(InfoNCE(8, chain=still, limit=0.0), lambda x: 9 * (x.abs() - 1).clamp(min=0).sum((1, 2)), x) < 3


def test_langevin_counter_examples_are_harder():
    precision = 16 * torch.eye(2)
    x = 0.25 * data(300, 2)
    easy, hard = (
        mean(InfoNCE(8, chain=chain, penalty=0), bowl(precision), x, reach=2.0) for chain in (None, Langevin(30))
    )
    assert easy < hard - 0.3


PRECISION = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)


def test_implicit_score_matching_of_a_normal_is_its_closed_form():
    x = data(200, 2)
    flat = x.flatten(1)
    expected = -PRECISION.trace() + (flat @ PRECISION).square().sum(1) / 2
    loss = ImplicitScoreMatching(blur=0).loss(landscape(bowl(PRECISION), 2), x, generator=draws.generator(0))
    torch.testing.assert_close(loss, expected / 2)


def test_the_best_precision_is_that_of_the_data():
    x = data(200, 2) @ torch.tensor([[1.0, 0.0], [0.6, 0.4]])
    root = torch.eye(2).requires_grad_()
    optimizer = torch.optim.LBFGS([root], max_iter=30, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = mean(ImplicitScoreMatching(blur=0), bowl(root @ root.T), x)
        loss.backward()
        return loss

    optimizer.step(closure)
    moments = x.flatten(1).T @ x.flatten(1) / len(x)
    torch.testing.assert_close((root @ root.T).detach(), moments.inverse(), rtol=1e-4, atol=1e-4)


def quartic(x):
    """An energy whose curvature is not constant."""
    flat = x.flatten(1)
    return (flat @ PRECISION * flat).sum(1) / 2 + (flat[:, 0] * flat[:, 1]).square() + flat.pow(4).sum(1)


def test_sliced_score_matching_is_the_implicit_one_in_expectation():
    x = data(20, 2).clamp(-1, 1)
    exact = ImplicitScoreMatching(blur=0).loss(landscape(quartic, 2), x, generator=draws.generator(0))
    sliced = SlicedScoreMatching(4000, blur=0).loss(landscape(quartic, 2), x, generator=draws.generator(0))
    torch.testing.assert_close(sliced, exact, rtol=0, atol=0.2)
    assert (sliced - exact).abs().max() > 0


def test_slices_along_signs_are_exact_where_entries_do_not_meet_even_at_the_middle_of_the_draws(monkeypatch):
    x = data(20, 2)

    def separate(x):
        return x.pow(4).flatten(1).sum(1)

    exact = ImplicitScoreMatching(blur=0).loss(landscape(separate, 2), x, generator=draws.generator(0))
    monkeypatch.setattr(draws, "uniform", lambda shape, *, generator, like: like.new_full(shape, 0.5))
    sliced = SlicedScoreMatching(1, blur=0).loss(landscape(separate, 2), x, generator=draws.generator(0))
    torch.testing.assert_close(sliced, exact)


def test_denoising_score_matching_differs_from_the_explicit_one_by_a_constant():
    # Blurred by sigma, a normal of deviation s has the score -x / (s^2 + sigma^2).
    s, sigma, rows = 0.8, 0.6, 200_000
    x = s * data(rows, 1)
    true = 1 / (s**2 + sigma**2)

    def difference(p):
        explicit = sigma**2 * (p - true) ** 2 * (s**2 + sigma**2) / 2
        return mean(DenoisingScoreMatching(sigma), bowl(torch.tensor([[p]])), x).item() - explicit

    assert difference(0.3) == pytest.approx(difference(2.0), abs=0.01)
    losses = [mean(DenoisingScoreMatching(sigma), bowl(torch.tensor([[p]])), x).item() for p in (0.8, 1.0, 1.2)]
    assert min(losses) == losses[1]


def test_implicit_and_denoising_score_matching_agree_up_to_a_constant():
    sigma, x = 0.6, data(200_000, 1).clamp(-1.5, 1.5)

    def both(scale):
        def energy(x):
            return scale * (x.square() + x.pow(4) / 4).flatten(1).sum(1)

        noised = mean(DenoisingScoreMatching(sigma), energy, x).item() / sigma**2
        return noised, mean(ImplicitScoreMatching(blur=sigma), energy, x).item()

    low, high = both(0.2), both(1.0)
    assert high[0] - low[0] == pytest.approx(high[1] - low[1], rel=0.02)


def test_the_margin_is_kept_or_the_worst_offender_found():
    # E = k |x'|^2 / 2 around the event x = 0, whose error is |x'|^2 / 2 in two channels.
    zero = torch.zeros(6, 1, 2)
    objective = MaxMargin(8, steps=60)
    kept = objective.loss(landscape(bowl(3 * torch.eye(2)), 2), zero, generator=draws.generator(0))
    torch.testing.assert_close(kept, torch.zeros(6))

    def bumpy(x):
        return 3 * x.square().sum((1, 2)) + (9 * x).sin().sum((1, 2))

    x = data(6, 2).clamp(-0.8, 0.8)
    loss = objective.loss(landscape(bumpy, 2), x, generator=draws.generator(0))
    axis = torch.linspace(-1.5, 1.5, 601)
    grid = torch.cartesian_prod(axis, axis).view(-1, 1, 2)
    worst = (bumpy(grid) - (grid - x.transpose(0, 1)[0][:, None, None]).square().mean((2, 3))).amin(1)
    torch.testing.assert_close(loss, bumpy(x) - worst, rtol=0.02, atol=0.02)


EVERY = [
    InfoNCE(4),
    InfoNCE(4, chain=Langevin(3)),
    ContrastiveDivergence(),
    MaximumLikelihood(),
    MaxMargin(),
    ImplicitScoreMatching(),
    SlicedScoreMatching(3),
    DenoisingScoreMatching(),
]


@pytest.mark.parametrize("objective", EVERY, ids=lambda o: type(o).__name__)
def test_losses_reach_whatever_the_energy_depends_on_and_need_no_recording(objective):
    context = data(5, 2, seed=4).flatten(1).requires_grad_()
    x = data(5, 2).clamp(-1, 1)

    def energy(x):
        own = context.repeat_interleave(len(x) // 5, 0)
        return (x.flatten(1) - own).pow(4).sum(1)

    loss = objective.loss(landscape(energy, 2), x, generator=draws.generator(0))
    assert loss.shape == (5,)
    loss.sum().backward()
    assert context.grad.isfinite().all() and (context.grad != 0).any()
    with torch.no_grad():
        again = objective.loss(landscape(energy, 2), x, generator=draws.generator(0))
    torch.testing.assert_close(again, loss.detach())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InfoNCE(0), "count must be at least 1; got 0"),
        (lambda: InfoNCE(penalty=-1.0), "penalty and limit must be at least 0; got -1.0 and 10.0"),
        (lambda: ContrastiveDivergence(pull=-0.1), "pull must be at least 0; got -0.1"),
        (lambda: MaximumLikelihood(pull=-0.1), "pull must be at least 0; got -0.1"),
        (lambda: MaxMargin(0), "starts must be at least 1, steps at least 0 and step positive; got 0, 20 and 0.1"),
        (lambda: SlicedScoreMatching(0), "slices must be at least 1; got 0"),
        (lambda: ImplicitScoreMatching(blur=-1.0), "blur must be at least 0; got -1.0"),
        (lambda: DenoisingScoreMatching(0.0), "sigma must be positive; got 0.0"),
    ],
)
def test_impossible_objectives_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
