"""Games between a generator and a critic, on a few places where both densities are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.heads import games

pytestmark = pytest.mark.usefixtures("double")

GAMES = [games.Minimax(), games.NonSaturating(), games.Relativistic(), games.LeastSquares(), games.Wasserstein()]
NAMES = [type(game).__name__ for game in GAMES]
DENSITIES = st.lists(st.floats(0.05, 1.0), min_size=4, max_size=4).map(
    lambda weights: torch.tensor(weights, dtype=torch.float64) / sum(weights)
)


def expected(loss, p, q):
    """Mean of a loss of pairs, the first from p and the second from q."""
    return (p[:, None] * q * loss).sum()


def critic_loss(game, value, p, q):
    real, fake = value[:, None].expand(4, 4), value.expand(4, 4)
    return expected(game.critic(real, fake), p, q)


@pytest.mark.parametrize("game", GAMES[:4], ids=NAMES[:4])
@settings(max_examples=25, deadline=None)
@given(DENSITIES, DENSITIES)
def test_the_best_critic_knows_the_ratio_of_densities(without_drift, game, p, q):
    best = p / (p + q) if isinstance(game, games.LeastSquares) else (p / q).log()
    best.requires_grad_()
    (slope,) = torch.autograd.grad(critic_loss(game, best, p, q), best)
    torch.testing.assert_close(slope, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
    for seed in range(3):  # every part is convex in D: a stationary point is the best
        other = best + draws.normal((4,), generator=draws.generator(seed), like=p)
        assert critic_loss(game, other, p, q) >= critic_loss(game, best, p, q)


@pytest.fixture(scope="module")
def without_drift():
    """Without the term that holds the level of D, which moves the best critic a little."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(games, "DRIFT", 0.0)
        yield


@settings(max_examples=25, deadline=None)
@given(DENSITIES, DENSITIES)
def test_the_minimax_game_is_worth_the_jensen_shannon_divergence(p, q):
    middle = (p + q) / 2
    divergence = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    value = critic_loss(games.Minimax(), (p / q).log(), p, q)
    assert value.item() == pytest.approx(2 * math.log(2) - 2 * divergence.item(), abs=1e-9)


@pytest.mark.parametrize("game", GAMES, ids=NAMES)
@settings(max_examples=25, deadline=None)
@given(st.floats(-5, 0.9), st.floats(-5, 0.9))
def test_the_generator_wants_draws_to_be_valued_higher(game, real, fake):
    real, fake = (torch.tensor([number], dtype=torch.float64, requires_grad=True) for number in (real, fake))
    (wanted,) = torch.autograd.grad(game.generator(real, fake).sum(), fake)
    (feared,) = torch.autograd.grad(game.critic(real, fake).sum(), real)
    assert wanted < 0 and feared < 0


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 4), st.integers(0, 1000))
def test_the_penalty_measures_by_how_much_the_slope_is_not_one(steepness, seed):
    stream = draws.generator(seed)
    like = torch.zeros((), dtype=torch.float64)
    direction = torch.nn.functional.normalize(draws.normal((6,), generator=stream, like=like), dim=0)
    real, fake = (draws.normal((5, 3, 2), generator=stream, like=like) for _ in range(2))
    penalty = games.Wasserstein(2.0).penalty(
        lambda x: steepness * (x.flatten(1) @ direction), real, fake, generator=stream
    )
    torch.testing.assert_close(penalty, torch.full((5,), 2 * (steepness - 1) ** 2, dtype=torch.float64))


def test_the_penalty_looks_between_data_and_draws():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake = torch.full((2000, 1, 2), 3.0), torch.full((2000, 1, 2), 1.0)
    games.Wasserstein().penalty(critic, real, fake, generator=draws.generator(0))
    (where,) = seen
    assert ((where >= 1) & (where <= 3)).all() and torch.equal(where[..., 0], where[..., 1])
    assert where.mean().item() == pytest.approx(2, abs=0.05) and where.std().item() == pytest.approx(2 / 12**0.5, 0.05)


def test_a_shift_costs_its_length_in_the_game_of_wasserstein():
    real = torch.linspace(0, 1, 50)
    loss = games.Wasserstein().critic(-real, -(real + 0.7)).mean()  # D(x) = -x: the best of slope one
    assert loss.item() == pytest.approx(-0.7 + games.DRIFT * real.square().mean().item())


def test_a_game_of_wasserstein_without_penalty_is_refused():
    with pytest.raises(ValueError, match=r"penalty must be positive; got 0. Without one"):
        games.Wasserstein(0)
