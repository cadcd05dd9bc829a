"""Hopfield networks, Gibbs sampling, and the questions that every binary model answers."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from embodied_gen import draws
from embodied_gen.events import Binary, Trajectory
from embodied_gen.heads import Guide, HopfieldHead, associate, association_energy
from embodied_gen.heads.gibbs import cooling, every_state, gibbs
from tests.heads.analytic import Constant

pytestmark = pytest.mark.usefixtures("double")
NONE = torch.zeros(1, 0)


def network(units, low=-1.0, sweeps=20):
    return HopfieldHead(Binary(units, low=low), Constant(1, units), sweeps=sweeps)


def states(units):
    return every_state(units, torch.zeros(())).unsqueeze(1)


def random(units, seed, strength=1.0, low=-1.0):
    head = network(units, low)
    with torch.no_grad():
        head.raw.normal_(generator=draws.generator(seed)).mul_(strength)
        head.net.output.normal_(generator=draws.generator(seed, 1)).mul_(strength)
    return head


def probabilities(head):
    every = states(head.units)
    return every, (-head.energy(every, torch.zeros(len(every), 0))).softmax(0).detach()


FIRST, SECOND = [-1.0, -1.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("start", "end"), [(FIRST, FIRST), (SECOND, SECOND), ([-1.0, 1.0, 1.0, 1.0], SECOND)])
def test_two_stored_patterns_are_recalled_from_themselves_and_from_a_part(start, end):
    head = network(4)
    patterns = torch.tensor([[FIRST], [SECOND]])
    head.store(patterns)
    flat = patterns.squeeze(1)
    for i in range(4):
        for j in range(4):
            expected = 0.0 if i == j else (flat[:, i] * flat[:, j]).sum().item() / 4
            assert head.weights[i, j].item() == pytest.approx(expected)
    assert head.recall(torch.tensor([[start]]), NONE).tolist() == [[end]]


@settings(max_examples=25)
@given(st.integers(2, 8), st.integers(0, 1000))
def test_recall_never_raises_the_energy_and_ends_where_no_unit_wants_to_flip(units, seed):
    head = random(units, seed)
    x = draws.signs((6, 1, units), generator=draws.generator(seed, 2), like=torch.zeros(()))
    c = torch.zeros(6, 0)
    energies = [head.energy(head.recall(x, c, sweeps=k), c) for k in (0, 1, 2, 60)]
    for before, after in pairwise(energies):
        assert (after <= before + 1e-9).all()
    end = head.recall(x, c, sweeps=60)
    assert (head.surprise(end, c) <= torch.tensor(2.0).log() + 1e-9).all()


def test_hebbs_memories_are_recalled_with_a_tenth_of_the_units_wrong():
    head = network(100)
    patterns = draws.signs((5, 1, 100), generator=draws.generator(0), like=torch.zeros(()))
    head.store(patterns)
    wrong = draws.uniform(patterns.shape, generator=draws.generator(1), like=patterns) < 0.1
    assert head.recall(torch.where(wrong, -patterns, patterns), torch.zeros(5, 0)).equal(patterns)


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_draws_are_as_probable_as_the_energy_says(low):
    head = random(4, 3, 0.7, low)
    x = head.sample(NONE, 4000, generator=draws.generator(1))[0]
    every, probability = probabilities(head)
    index = (x == every.squeeze(1)).all(-1).int().argmax(1)
    counts = torch.bincount(index, minlength=16)
    assert stats.chisquare(counts.numpy(), (4000 * probability).numpy()).pvalue > 0.01


def test_guided_draws_are_as_probable_as_energy_and_cost_say():
    head = random(4, 3, 0.7, low=0.0)
    value = torch.tensor([1.0, -2.0, 0.5, 1.0])
    guide = Guide(
        cost=lambda y: (y.round() * value).sum((-1, -2)),  # no slopes
        margins=lambda y: 2.5 - y.sum((-1, -2))[..., None],  # at most two units are on
        scale=0.8,
    )
    told = head.certified(NONE, 4000, generator=draws.generator(1), guide=guide)
    assert told.feasible.all()
    every, free = probabilities(head)
    on = (every.squeeze(1) > 0).double()
    wanted = free * (-0.8 * on @ value).exp() * (on.sum(1) <= 2)
    wanted = wanted / wanted.sum()
    share = (told.x[0] > 0).double().mean((0, 1))
    torch.testing.assert_close(share, wanted @ on, rtol=0, atol=4 * 0.5 / 4000**0.5)


def test_a_projection_is_kept_by_drawing_and_not_by_rounding():
    head = random(5, 1, low=0.0)

    def project(y):  # the first unit is on
        return torch.cat([torch.ones_like(y[..., :1]), y[..., 1:]], -1)

    x = head.sample(NONE, 3000, generator=draws.generator(1), guide=Guide(project=project))[0, :, 0]
    every, free = probabilities(head)
    on = (every.squeeze(1) > 0).double()
    conditional = (free * on[:, 0]) @ on / (free @ on[:, 0])
    torch.testing.assert_close((x > 0).double().mean(0), conditional, rtol=0, atol=0.04)


def test_surprise_is_that_of_each_unit_given_the_others():
    head = random(5, 4)
    every, probability = probabilities(head)
    surprise = head.surprise(every, torch.zeros(32, 0)).squeeze(1).detach()
    for row in range(32):
        for i in range(5):
            partner = row ^ (1 << i)
            expected = -(probability[row] / (probability[row] + probability[partner])).log()
            torch.testing.assert_close(surprise[row, i], expected)
    # Fitting by pseudo-likelihood is making surprise small.
    loss = head.loss(every, torch.zeros(32, 0), generator=draws.generator(0))
    torch.testing.assert_close(loss.detach(), surprise.mean(1))


def test_marginals_are_conditional_probabilities_of_what_was_not_seen():
    head = random(6, 5, 0.6)
    every, probability = probabilities(head)
    x = every[[5, 40]]
    seen = torch.zeros_like(x, dtype=torch.bool)
    seen[..., [0, 3]] = True
    c = torch.zeros(2, 0)
    told = head.marginals(x, seen, c, generator=draws.generator(0), sweeps=60, chains=60).squeeze(1)
    on = (every.squeeze(1) > 0).double()
    for row in range(2):
        fits = ((every == x[row]) | ~seen[row]).all(-1).squeeze(1).double()
        torch.testing.assert_close(told[row], (probability * fits) @ on / (probability @ fits), rtol=0, atol=0.04)


def test_training_by_pseudo_likelihood_finds_the_weights():
    truth = random(5, 6, 0.5)
    every, probability = probabilities(truth)
    head = network(5)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (probability * head.loss(every, torch.zeros(32, 0), generator=draws.generator(0))).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(head.weights, truth.weights, rtol=0, atol=1e-3)
    torch.testing.assert_close(head.net.output, truth.net.output, rtol=0, atol=1e-3)


@pytest.mark.parametrize("sweeps", [1, 2, 3, 10])
def test_the_last_sweep_is_at_the_last_temperature(sweeps):
    temperatures = cooling(sweeps, 5.0, 0.3)
    assert len(temperatures) == sweeps and temperatures[-1] == 0.3
    assert temperatures == sorted(temperatures, reverse=True) and (sweeps == 1 or temperatures[0] == 5.0)


def test_annealing_finds_the_lowest_state():
    head = random(10, 7)
    energy = head.energy(states(10), torch.zeros(1024, 0))
    x = draws.signs((20, 1, 10), generator=draws.generator(0), like=torch.zeros(()))
    c = torch.zeros(20, 0)
    found = gibbs(lambda x: head.energy(x, c), x, cooling(60, 5.0, 0.05), generator=draws.generator(1))
    lowest = energy.min().item()
    assert (head.energy(found, c) < lowest + 1e-6).double().mean() >= 0.6


def test_units_that_are_not_free_stay():
    x = draws.signs((50, 1, 4), generator=draws.generator(0), like=torch.zeros(()))
    free = torch.zeros_like(x, dtype=torch.bool)
    free[..., 1] = True
    moved = gibbs(lambda x: x.new_zeros(len(x)), x, [1.0] * 3, generator=draws.generator(1), free=free)
    assert moved[..., [0, 2, 3]].equal(x[..., [0, 2, 3]]) and not moved.equal(x)


@settings(max_examples=25)
@given(st.floats(0.1, 20), st.integers(0, 1000))
def test_the_continuous_network_never_raises_its_energy(beta, seed):
    patterns = draws.normal((5, 3), generator=draws.generator(seed), like=torch.zeros((), dtype=torch.float64))
    x = draws.normal((4, 3), generator=draws.generator(seed, 1), like=patterns)
    energies = [association_energy(patterns, associate(patterns, x, beta=beta, steps=k), beta=beta) for k in range(4)]
    for before, after in pairwise(energies):
        assert (after <= before + 1e-9).all()


def test_the_continuous_network_recalls_in_one_step_where_it_is_sharp_and_averages_where_it_is_not():
    patterns = draws.signs((20, 64), generator=draws.generator(0), like=torch.zeros(()))
    noisy = patterns + 0.5 * draws.normal(patterns.shape, generator=draws.generator(1), like=patterns)
    torch.testing.assert_close(associate(patterns, noisy, beta=4.0), patterns)
    blurred = associate(patterns, noisy, beta=1e-9)
    torch.testing.assert_close(blurred, patterns.mean(0).expand(20, -1), rtol=0, atol=1e-6)


class Follows(nn.Module):
    """Biases that are the context."""

    def forward(self, x, t, c):
        return c.unsqueeze(1)


def test_a_context_shifts_what_is_probable():
    head = HopfieldHead(Binary(2), Follows())
    c = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
    x = head.sample(c, 3000, generator=draws.generator(0)).squeeze(2)
    torch.testing.assert_close((x > 0).double().mean(1), (2 * c).sigmoid(), rtol=0, atol=0.04)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: HopfieldHead(Trajectory(1, [-1.0], [1.0]), Constant(1, 1)),
            "got Trajectory. Set event.kind to binary",
        ),
        (lambda: network(3, sweeps=0), "hidden must be at least 0 and sweeps at least 1; got 0 and 0"),
        (lambda: associate(torch.eye(2), torch.eye(2), beta=0.0), "beta must be positive; got 0.0"),
        (lambda: gibbs(lambda x: x.sum(1), torch.ones(1, 2), [0.0], generator=draws.generator(0)), "must be positive"),
        (
            lambda: HopfieldHead(Binary(3), Constant(1, 4)).energy(torch.ones(2, 1, 3), torch.zeros(2, 0)),
            r"0 hidden units must return shape \(2, 1, 3\); got \(2, 1, 4\).*channels_out",
        ),
        (
            lambda: network(3).marginals(
                torch.ones(2, 1, 3), torch.ones(2, 3) > 0, torch.zeros(2, 0), generator=draws.generator(0)
            ),
            r"seen must have the shape \(2, 1, 3\) of the events; got \(2, 3\)",
        ),
        (
            lambda: network(2).marginals(
                torch.ones(1, 1, 2), torch.ones(1, 1, 2) > 0, NONE, generator=draws.generator(0), sweeps=1
            ),
            "sweeps must be at least 2 and chains at least 1; got 1 and 8",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_events_and_contexts_of_different_numbers_are_named():
    head, x, c = network(3), torch.ones(4, 1, 3), torch.zeros(2, 0)
    seen = torch.ones_like(x, dtype=torch.bool)
    for ask in (head.energy, head.surprise, head.enumerated):
        with pytest.raises(ValueError, match="one context for each of the 4 events; got 2"):
            ask(x, c)
    with pytest.raises(ValueError, match="one context for each of the 4 events; got 2"):
        head.marginals(x, seen, c, generator=draws.generator(0))
