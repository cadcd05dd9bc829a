"""Paths within a number of steps: sums by enumeration, slopes, negative costs, and the limit of many steps."""

import pytest
import torch

from embodied_gen import draws
from embodied_gen.graphs import Grid, Hard, Soft, ToGoal, Within, greedy, sampled
from embodied_gen.graphs.unrolled import unrolled

pytestmark = pytest.mark.usefixtures("double")
GRID = Grid(3, 4, connectivity=8)


def costs_of(seed=0, rows=2, low=-1.0):
    like = torch.zeros(())
    return low + 2 * draws.uniform((rows, *GRID.actions), generator=draws.generator(seed), like=like)


def goal(rows=2):
    return GRID.mask(torch.full((rows,), 11))


@pytest.mark.parametrize("rule", [Soft(0.7), Hard()])
def test_values_and_slopes_are_those_of_backups_by_autograd(rule):
    costs = costs_of().requires_grad_()
    values = [
        Within(goal(), 6).values(GRID, costs, rule),
        unrolled(GRID, costs, 6, rule, goal=goal()),
    ]
    torch.testing.assert_close(*values)
    weights = torch.where(values[0].isinf(), 0, 1.0) * torch.arange(24).view(2, 3, 4)
    slopes = [torch.autograd.grad((torch.where(v.isinf(), 0, v) * weights).sum(), costs)[0] for v in values]
    torch.testing.assert_close(*slopes)


def test_each_row_has_its_own_number_of_steps():
    steps, costs = torch.tensor([3, 7]), costs_of().requires_grad_()
    together = Within(goal(), steps).values(GRID, costs, Soft())
    alone = [Within(goal(1), int(n)).values(GRID, costs[i : i + 1], Soft()) for i, n in enumerate(steps)]
    torch.testing.assert_close(together, torch.cat(alone))
    visits = Within(goal(), steps).visits(GRID, costs, GRID.mask(torch.tensor([0, 0])).double(), Soft())
    assert (visits.flatten(1).sum(1) <= steps).all() and (visits.flatten(1).sum(1) >= 3).all()


def test_many_steps_tend_to_all_lengths_and_a_start_at_the_goal_has_no_visits():
    costs = costs_of(low=2.5)
    torch.testing.assert_close(
        Within(goal(), 300).values(GRID, costs, Soft()), ToGoal(goal()).values(GRID, costs, Soft())
    )
    assert Within(goal(), 5).visits(GRID, costs, goal().double(), Soft()).abs().sum() == 0


def test_negative_costs_have_values_and_large_ones_no_nan():
    costs = costs_of(low=-100.0).requires_grad_()
    value = Within(goal(), 40).values(GRID, costs, Soft())
    assert value.isfinite().all()
    (slope,) = torch.autograd.grad(value.sum(), costs)
    assert slope.isfinite().all()


def test_paths_end_at_the_goal_within_their_steps():
    starts = torch.zeros(2, 50, dtype=torch.long)
    paths = sampled(Within(goal(), 5), GRID, costs_of(), starts, Soft(), generator=draws.generator(0), limit=5)
    last = paths.states.gather(-1, paths.lengths[..., None])[..., 0]
    assert (last == 11).all() and (paths.lengths <= 5).all() and (paths.lengths >= 3).all()
    assert ((paths.states == 11).sum(-1) == 1).all()
    best = greedy(Within(goal(), 5), GRID, costs_of(), starts[:, :1], Hard(), limit=5)
    values = Within(goal(), 5).values(GRID, costs_of(), Hard())[:, 0, 0]
    torch.testing.assert_close(best.costs(costs_of())[:, 0], values)


def test_what_has_no_sum_is_named():
    with pytest.raises(ValueError, match=r"steps must not be negative; got \[-1\]"):
        Within(goal(), -1)
    with pytest.raises(ValueError, match="need moves of one outcome; got moves that may slip"):
        Within(goal(), 3).values(Grid(3, 4, slip=0.1), costs_of(), Soft())
    short = Within(goal(1), 2)
    with pytest.raises(ValueError, match=r"no path of map 0 starts at cell \(0, 0\)"):
        short.visits(GRID, costs_of(rows=1), GRID.mask(torch.tensor([0])).double(), Soft())


def test_costs_too_low_for_all_lengths_are_found_where_moves_change_the_colour_of_the_board():
    grid = Grid(3, 3, connectivity=4)
    costs = torch.full((1, *grid.actions), 0.1)
    with pytest.raises(ValueError, match="the sum over paths of all lengths is infinite for map 0"):
        ToGoal(grid.mask(torch.tensor([5]))).values(grid, costs, Soft())
