"""Sets: their order means nothing, and an estimate is compared in the best one."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.assignment import assign
from embodied_gen.events import SetEvent, Trajectory
from embodied_gen.heads import DenoisingHead, RegressionHead
from embodied_gen.nets import SetTransformer
from tests.heads.analytic import Constant

SEEDS = st.integers(0, 10_000)


def event(slots=4, empty=0.1):
    return SetEvent(slots, [-1.0, 0.0], [1.0, 5.0], empty=empty).double()


def sets(rows, slots, seed, of=2):
    """Random sets in model units, with about a third of the slots empty."""
    stream = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, slots, of, generator=stream, dtype=torch.float64) * 2 - 1
    there = torch.rand(rows, slots, 1, generator=stream, dtype=torch.float64) > 0.35
    return torch.cat([torch.where(there, x, 0.0), 2.0 * there - 1], -1)


def permuted(x, seed):
    order = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(seed)).argsort(1)
    return x.gather(1, order.unsqueeze(-1).expand_as(x))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), SEEDS)
def test_an_assignment_is_the_best_permutation(n, seed):
    cost = torch.randn(3, n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    chosen = assign(cost)
    assert torch.equal(chosen.sort(1).values, torch.arange(n).expand(3, n))
    total = cost.gather(1, chosen.unsqueeze(1)).sum((1, 2))
    every = torch.tensor(list(itertools.permutations(range(n))))
    best = torch.stack([cost[:, order, torch.arange(n)].sum(1) for order in every]).amin(0)
    torch.testing.assert_close(total, best)


def test_costs_that_are_no_number_are_assigned_somehow():
    cost = torch.full((2, 3, 3), torch.nan)
    assert torch.equal(assign(cost).sort(1).values, torch.arange(3).expand(2, 3))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), SEEDS, st.floats(0, 1))
def test_the_error_is_that_of_the_best_order(slots, seed, empty):
    x, x_hat = sets(5, slots, seed), sets(5, slots, seed + 1) + 0.1
    there = x[..., -1] > 0

    def in_order(order):
        squares = (x_hat[:, order] - x).square()
        numbers = squares[..., :-1].sum(-1) * torch.where(there, 1.0, empty)
        return ((numbers + squares[..., -1]) / 3).mean(1)

    best = torch.stack([in_order(list(order)) for order in itertools.permutations(range(slots))]).amin(0)
    torch.testing.assert_close(event(slots, empty).error(x_hat, x), best)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), SEEDS)
def test_neither_order_matters_and_equal_sets_have_no_error(slots, seed):
    x, x_hat, of = sets(5, slots, seed), sets(5, slots, seed + 1) * 0.9, event(slots)
    error = of.error(x_hat, x)
    torch.testing.assert_close(of.error(permuted(x_hat, seed), permuted(x, seed + 2)), error)
    torch.testing.assert_close(of.error(permuted(x, seed), x), torch.zeros(5, dtype=torch.float64))
    assert (error > 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), SEEDS)
def test_what_an_estimate_lacks_is_told_in_the_best_order(slots, seed):
    x, x_hat, of = sets(5, slots, seed), sets(5, slots, seed + 1) * 0.9, event(slots, empty=1.0)
    lacks = of.residual(permuted(x_hat, seed), x)
    torch.testing.assert_close(lacks.square().sum(1), of.residual(x_hat, x).square().sum(1))  # empty slots are alike
    torch.testing.assert_close(lacks.square().mean((1, 2)), of.error(x_hat, x))
    torch.testing.assert_close(of.residual(permuted(x, seed), x), torch.zeros_like(x))


def test_deviations_are_those_of_matched_slots():
    x, of = sets(1, 4, 3), event()
    head = RegressionHead(of, Constant(4, 3)).double()
    with torch.no_grad():
        head.net.output.copy_(x[0])
    optimizer = torch.optim.Adam([head.log_deviation], lr=0.2)
    for step in range(30):  # the same set in any order, of which the estimate is exact
        optimizer.zero_grad()
        many = permuted(x.expand(8, -1, -1), step)
        loss = head.loss(many, torch.zeros(8, 1), generator=draws.generator(step))
        assert (loss == 0).all()
        loss.sum().backward()
        optimizer.step()
    assert (head.log_deviation.exp() < 0.01).all()


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_the_slope_is_that_of_finite_differences(seed):
    x, of, stream = sets(2, 3, seed), event(3), torch.Generator().manual_seed(seed)
    x_hat = torch.randn(x.shape, generator=stream, dtype=torch.float64).requires_grad_()  # where no two slots are equal
    (slope,) = torch.autograd.grad(of.error(x_hat, x).sum(), x_hat)
    direction = torch.randn(x.shape, generator=stream, dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = (of.error(x_hat + h * direction, x).sum() for h in (1e-6, -1e-6))
    assert (slope * direction).sum().item() == pytest.approx((ahead - behind).item() / 2e-6, abs=1e-5)


def test_full_sets_in_order_have_the_error_of_a_trajectory():
    x = sets(5, 3, 1)
    x[..., -1] = 1.0
    x_hat = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    steps = Trajectory(3, [-1.0] * 3, [1.0] * 3).double()
    torch.testing.assert_close(event(3).error(x_hat, x), steps.error(x_hat, x))


def test_slots_that_are_not_valid_cost_nothing():
    x, x_hat, of = sets(5, 4, 1), sets(5, 4, 2), event()
    valid = torch.tensor([[True, True, False, False]]).expand(5, 4)
    changed = torch.where(valid.unsqueeze(-1), x, 3.0)
    torch.testing.assert_close(of.error(x_hat, x, valid), of.error(x_hat, changed, valid))
    assert (of.error(x_hat, x, torch.zeros_like(valid)) == 0).all()
    torch.testing.assert_close(of.error(x_hat, x, torch.ones_like(valid)), of.error(x_hat, x))


def test_sets_come_back_from_model_units_with_the_centre_in_empty_slots():
    of = event(3)
    value = torch.tensor([[[0.5, 1.0, 1.0], [-1.0, 5.0, 1.0], [9.0, 9.0, 0.0]]], dtype=torch.float64)
    x = of.encode(value)
    torch.testing.assert_close(x[0, 0], torch.tensor([0.5, -0.6, 1.0], dtype=torch.float64))
    assert x[0, 2].tolist() == [0, 0, -1]
    expected = torch.cat([value[:, :2], torch.tensor([[[0.0, 2.5, 0.0]]], dtype=torch.float64)], 1)
    torch.testing.assert_close(of.decode(x + 0.3 * x.sign() * torch.tensor([0, 0, 1])), expected)
    torch.testing.assert_close(of.encode(of.decode(x)), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slots": 0}, "slots must be at least 1; got 0"),
        ({"empty": 1.5}, r"empty must lie in \[0, 1\]; got 1.5"),
        ({"low": [1.0]}, "low must be below high in every channel"),
    ],
)
def test_impossible_sets_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SetEvent(**({"slots": 2, "low": [0.0], "high": [1.0]} | options))


def test_a_trained_head_draws_sets_with_each_thing_once():
    # Three things, of which the last is there in half of the sets, in any order of four slots.
    def data(rows, stream):
        there = torch.ones(rows, 4, 1)
        there[:, 2, 0] = (torch.rand(rows, generator=stream) < 0.5).float()
        there[:, 3] = 0
        places = torch.tensor([[-0.7], [0.0], [0.7], [0.0]]) + 0.03 * torch.randn(rows, 4, 1, generator=stream)
        x = torch.cat([torch.where(there > 0, places, 0.0), 2 * there - 1], -1)
        order = torch.rand(rows, 4, generator=stream).argsort(1)
        return x.gather(1, order.unsqueeze(-1).expand_as(x))

    net = SetTransformer(horizon=4, channels_in=2, channels_out=2, context=1, width=32, depth=2, heads=2)
    head = DenoisingHead(SetEvent(4, [-1.0], [1.0]), net, clip=None)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    for step in range(300):
        stream = draws.generator(1, step)
        optimizer.zero_grad()
        head.loss(data(64, stream), torch.zeros(64, 1), generator=stream).mean().backward()
        optimizer.step()
        scheduler.step()
    drawn = head.event.decode(head.sample(torch.zeros(500, 1), generator=draws.generator(2))[:, 0])
    places = torch.tensor([-0.7, 0.0, 0.7])
    near = ((drawn[..., :1] - places).abs() < 0.2) & (drawn[..., 1:] == 1)
    counts = near.sum(1)
    once = (counts[:, :2] == 1).all(1) & (counts[:, 2] <= 1)
    assert once.float().mean() > 0.6  # a third after as many steps where slots are compared in their order
    assert counts[:, 2].float().mean().item() == pytest.approx(0.5, abs=0.2)
