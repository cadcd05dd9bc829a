"""Orders of positions: permutations, their law, and the gradient that teaches them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from embodied_gen import draws
from embodied_gen.heads.orders import Given, Learned, Shuffled

pytestmark = pytest.mark.usefixtures("double")


def test_the_law_of_learned_orders_sums_to_one_and_is_that_of_its_draws():
    order = Learned(3)
    order.scores.data = torch.tensor([0.5, -1.0, 1.0])
    every = torch.tensor(list(itertools.permutations(range(3))))
    law = order.log_prob(every).exp().detach()
    assert law.sum().item() == pytest.approx(1)
    assert torch.equal(every[law.argmax()], order.settled(law))
    drawn = order.draw(6000, generator=draws.generator(2), like=law)
    counts = (drawn.unsqueeze(1) == every).all(2).sum(0)
    assert stats.chisquare(counts.numpy(), 6000 * law.numpy()).pvalue > 0.01


def test_scores_receive_the_gradient_of_the_expected_loss():
    order = Learned(3)
    order.scores.data = torch.tensor([0.5, -1.0, 1.0])
    every = torch.tensor(list(itertools.permutations(range(3))))
    value = torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    (exact,) = torch.autograd.grad((order.log_prob(every).exp() * value).sum(), order.scores)
    drawn = order.draw(30_000, generator=draws.generator(2), like=value)
    loss = value[(drawn.unsqueeze(1) == every).all(2).long().argmax(1)]
    lesson = order.lesson(drawn, loss)
    assert (lesson == 0).all()
    (estimate,) = torch.autograd.grad(lesson.mean(), order.scores)
    torch.testing.assert_close(estimate, exact, rtol=0, atol=0.06)


def test_a_learned_order_prefers_what_costs_less():
    # To begin with the first position costs one more than to begin with the second.
    order = Learned(2)
    optimizer = torch.optim.Adam(order.parameters(), lr=0.1)
    for step in range(100):
        drawn = order.draw(32, generator=draws.generator(step), like=order.scores)
        optimizer.zero_grad()
        order.lesson(drawn, (drawn[:, 0] == 0).double()).mean().backward()
        optimizer.step()
    assert order.settled(order.scores).tolist() == [1, 0]


@given(seed=st.integers(0, 1000), positions=st.integers(1, 9))
@settings(max_examples=20)
def test_every_order_that_is_drawn_is_a_permutation(seed, positions):
    like = torch.zeros(())
    for order in (Given(positions), Shuffled(positions), Learned(positions)):
        drawn = order.draw(4, generator=draws.generator(seed), like=like)
        assert torch.equal(drawn.sort(1).values, torch.arange(positions).expand(4, -1))
        assert torch.equal(order.settled(like).sort().values, torch.arange(positions))


def test_shuffled_orders_are_uniform():
    drawn = Shuffled(3).draw(6000, generator=draws.generator(2), like=torch.zeros(()))
    counts = torch.bincount(drawn @ torch.tensor([9, 3, 1]))
    assert stats.chisquare(counts[counts > 0].numpy()).pvalue > 0.01 and (counts > 0).sum() == 6


def test_there_is_at_least_one_position():
    with pytest.raises(ValueError, match="positions must be at least 1; got 0"):
        Given(0)
