"""A generator and a critic in one loss: gradients, penalties, and what is learned."""

import copy
import itertools
import math

import numpy as np
import pytest
import tiny
import torch

from embodied_gen import draws, experiment
from embodied_gen.events import Trajectory
from embodied_gen.heads import AdversarialHead, Guide, HasLatent, games
from embodied_gen.heads.derivatives import slope
from embodied_gen.nets import ResidualMLP, Transformer
from embodied_gen.statistics import count_modes
from tests.heads.analytic import unit_event
from tests.heads.batches import batch, trajectory
from tests.heads.builders import as_after_training
from tests.heads.networks import mlp

GAMES = {
    "minimax": games.Minimax(),
    "non_saturating": games.NonSaturating(),
    "relativistic": games.Relativistic(),
    "least_squares": games.LeastSquares(),
    "wasserstein": games.Wasserstein(),
}


def head_of(**options):
    return as_after_training(AdversarialHead(trajectory(), mlp(), mlp(1), latent=3, **options))


def gradients(loss, parameters):
    return torch.autograd.grad(loss.mean(), parameters, allow_unused=True)


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES.keys())
def test_each_player_gets_the_gradient_of_its_own_loss(double, game):
    head = head_of(game=game, r1=0.3, r2=0.2, generator_weight=0.5)
    x, c = (part.double() for part in batch())
    loss = head.loss(x, c, generator=draws.generator(3))

    # The textbook's way: two losses, each of which sees the other player as it is.
    stream = draws.generator(3)
    z = draws.normal((len(x), 3), generator=stream, like=x)
    fake = head.push(z, c)
    constant = fake.detach()
    real = head.value(x, c)
    steep = [slope(lambda x: head.value(x, c), at).flatten(1).square().sum(1) for at in (x, constant)]
    critics = game.critic(real, head.value(constant, c)) + 0.15 * steep[0] + 0.1 * steep[1]
    critics = critics + game.penalty(lambda x: head.value(x, c), x, constant, generator=stream)
    generators = 0.5 * game.generator(real, head.value(fake, c))
    torch.testing.assert_close(loss, critics + generators)

    theirs = list(head.critic.parameters())
    ours = [*head.net.parameters(), *head.lift.parameters()]
    assert len(theirs) + len(ours) == len(list(head.parameters()))
    for parameters, own in ((theirs, critics), (ours, generators)):
        for got, expected in zip(gradients(loss, parameters), gradients(own, parameters), strict=True):
            torch.testing.assert_close(got, torch.zeros_like(got) if expected is None else expected)
            loss = head.loss(x, c, generator=draws.generator(3))


def test_a_loss_changes_no_weight_and_is_the_same_without_gradients():
    head = head_of(game=games.Wasserstein(), r1=0.3)
    x, c = batch()
    before = copy.deepcopy(head.state_dict())
    loss = head.loss(x, c, generator=draws.generator(3))
    with torch.no_grad():
        silent = head.loss(x, c, generator=draws.generator(3))
    torch.testing.assert_close(loss, silent)
    assert not silent.requires_grad
    assert all(torch.equal(before[name], weight) for name, weight in head.state_dict().items())


def test_the_penalties_are_slopes_of_the_critic_at_data_and_at_draws(double):
    x, c = (part.double() for part in batch(3))
    head = head_of()
    losses = []
    for head.r1, head.r2 in ((0, 0), (2, 0), (0, 2)):
        losses.append(head.loss(x, c, generator=draws.generator(3)).detach())
    plain, on_data, on_draws = losses
    fake = head.push(draws.normal((3, 3), generator=draws.generator(3), like=x), c).detach()
    for at, loss in ((x, on_data), (fake, on_draws)):
        squares = torch.zeros(3)
        for entry in itertools.product(*map(range, x.shape[1:])):  # central differences, entry by entry
            step = torch.zeros_like(x)
            step[(slice(None), *entry)] = 1e-5
            squares += ((head.value(at + step, c) - head.value(at - step, c)).detach() / 2e-5) ** 2
        torch.testing.assert_close(loss - plain, squares, rtol=1e-5, atol=1e-8)


def test_slopes_can_be_differentiated_through_attention():
    net = as_after_training(
        Transformer(horizon=4, channels_in=2, channels_out=1, context=3, width=16, depth=1, heads=2)
    )
    x, c = batch(2)
    steepness = slope(lambda x: net(x, x.new_zeros(2), c).flatten(1).sum(1), x).square().sum()
    by_weight = torch.autograd.grad(steepness, list(net.parameters()), allow_unused=True)
    assert any(gradient is not None and (gradient != 0).any() for gradient in by_weight)
    with torch.no_grad():
        assert not slope(lambda x: net(x, x.new_zeros(2), c).flatten(1).sum(1), x).requires_grad


def test_a_generator_whose_network_is_zero_is_a_normal_and_guides_cut_it_off(double):
    head = AdversarialHead(unit_event(2), mlp_of(2), mlp_of(1), latent=2)
    with torch.no_grad():
        head.lift.linear.weight.copy_(torch.eye(2))
        head.lift.linear.bias.zero_()
    assert isinstance(head, HasLatent)
    guide = Guide(cost=lambda y: (y[..., 0, 0] - 1.0).square() / 2, margins=lambda y: y[..., 0, 1:])
    x = head.sample(torch.zeros(600, 1), generator=draws.generator(0), guide=guide)[:, 0, 0]
    # N(0, 1) exp(-(x - 1)^2 / 2) is N(1/2, 1/2); N(0, 1) above zero has mean sqrt(2 / pi).
    torch.testing.assert_close(x[:, 0].mean(), torch.tensor(0.5), rtol=0, atol=0.1)
    torch.testing.assert_close(x[:, 0].var(), torch.tensor(0.5), rtol=0, atol=0.1)
    torch.testing.assert_close(x[:, 1].mean(), torch.tensor(math.sqrt(2 / math.pi)), rtol=0, atol=0.1)
    assert (x[:, 1] >= 0).all()


def mlp_of(channels_out):
    return ResidualMLP(horizon=1, channels_in=2, channels_out=channels_out, context=1, width=64, depth=2, expansion=2.0)


CORNERS = torch.tensor([[0.6, 0.6], [0.6, -0.6], [-0.6, 0.6], [-0.6, -0.6]])


def corners(rows, generator):
    """Four modes in the plane."""
    mode = torch.randint(0, 4, (rows,), generator=generator)
    return (CORNERS[mode] + 0.1 * torch.randn(rows, 2, generator=generator)).unsqueeze(1), mode


def pair(rows, generator):
    """Two wide modes, which are learned in seconds."""
    mode = torch.randint(0, 2, (rows,), generator=generator)
    x = CORNERS[2 * mode] * torch.tensor([1.0, 0.0])
    return (x + 0.2 * torch.randn(rows, 2, generator=generator)).unsqueeze(1), mode


def trained(game, steps, data=corners):
    """As `docs/generators.md` trains games: without momentum, at a rate that stands it."""
    r1 = 0.0 if game == "wasserstein" else 0.1
    head = AdversarialHead(unit_event(2), mlp_of(2), mlp_of(1), latent=4, game=GAMES[game], r1=r1, r2=r1)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-4, betas=(0.0, 0.999), fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        stream = draws.generator(9, step)
        optimizer.zero_grad()
        head.loss(data(64, stream)[0], torch.zeros(64, 1), generator=stream).mean().backward()
        optimizer.step()
        scheduler.step()
    return head


def told(head, data=corners):
    reference, mode = data(4000, draws.generator(1))
    x = head.sample(torch.zeros(1000, 1), generator=draws.generator(2)).flatten(1)
    return count_modes(x, reference.flatten(1), mode, rng=np.random.default_rng(0))


def test_training_reaches_every_mode():
    result = told(trained("relativistic", 150, pair), pair)
    assert result.reached == 1 and result.entropy.value > 0.9 and result.outside < 0.3, result


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_every_game_is_learned(game):
    result = told(trained(game, 800))
    assert result.reached == 1 and result.entropy.value > 0.95 and result.outside < 0.25, result


@pytest.mark.parametrize("kind", GAMES)
def test_the_game_is_chosen_by_its_block(kind):
    config = tiny.experiment_of(head={"kind": "adversarial", "game": {"kind": kind}, "latent": 5})
    head = experiment.empty(config, experiment.Sizes(4, 2)).head
    assert isinstance(head, AdversarialHead) and type(head.game) is type(GAMES[kind])
    assert head.numbers == 5
    x = torch.zeros(3, *head.event.shape)
    assert head.loss(x, torch.zeros(3, 8), generator=draws.generator(0)).shape == (3,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "latent must be at least 1; got 0"),
        ({"r1": -1.0}, "r1 and r2 must be at least 0; got -1.0 and 0.1"),
        ({"r2": math.nan}, "r1 and r2 must be at least 0; got 0.1 and nan"),
        ({"generator_weight": 0.0}, "generator_weight must be positive; got 0.0"),
    ],
)
def test_impossible_games_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AdversarialHead(Trajectory(4, [-1.0, 0.0], [1.0, 5.0]), mlp(), mlp(1), **options)
