"""Paths have the law of their policy and the costs of their actions."""

import math

import pytest
import torch
from enumeration import paths

from embodied_gen import draws
from embodied_gen.graphs import Discounted, Finite, Graph, Grid, Hard, Soft, ToGoal, Within, greedy, sampled

pytestmark = pytest.mark.usefixtures("double")

GRID = Grid(2, 2, connectivity=4, stay=True)
ROADS = Graph(torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([1, 2, 2, 0, 1, 3]), 4)


def random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def frequencies(found, row):
    counts = {}
    for actions in found.actions[row].tolist():
        key = tuple(action for action in actions if action >= 0)
        counts[key] = counts.get(key, 0) + 1 / found.actions.shape[1]
    return counts


@pytest.mark.parametrize("dynamics", [GRID, ROADS])
def test_draws_have_the_probabilities_of_paths(dynamics):
    costs, starts = random(2, *dynamics.actions) + 2, torch.zeros(2, 4000, dtype=torch.int64)
    goal = ToGoal(dynamics.mask(torch.tensor([3, 3])))
    for horizon, longest, end in ((Finite(torch.tensor([2, 3])), (2, 3), None), (goal, (7, 7), 3)):
        found = sampled(horizon, dynamics, costs, starts, Soft(), generator=draws.generator(0))
        values = horizon.values(dynamics, costs, Soft()).flatten(1)
        for row in range(2):
            seen = frequencies(found, row)
            for actions, cost in paths(dynamics, costs[row], 0, longest[row], goal=end):
                assert seen.get(tuple(actions), 0) == pytest.approx(math.exp(values[row, 0] - cost), abs=0.03)


def test_paths_are_in_order_and_know_what_they_cost():
    costs = random(2, *GRID.actions)
    found = sampled(
        Finite(torch.tensor([1, 3])), GRID, costs, torch.tensor([[0, 1], [2, 3]]), Soft(), generator=draws.generator(1)
    )
    assert found.lengths.tolist() == [[1, 1], [3, 3]]
    assert found.states[..., 0].tolist() == [[0, 1], [2, 3]] and (found.states[0, :, 2:] == -1).all()
    moved = GRID.heads(found.actions.clamp(min=0))
    assert torch.equal(torch.where(found.actions >= 0, moved, -1), found.states[..., 1:])
    visits = found.visits(GRID)
    torch.testing.assert_close((visits * costs).flatten(1).sum(1), found.costs(costs).mean(1))


def test_mean_visits_of_draws_are_the_expected_ones():
    grid = Grid(3, 3, connectivity=4, stay=True, slip=0.3)
    costs = random(1, *grid.actions) + 1.5
    start = grid.mask(torch.tensor([4])).double()
    for horizon in (Finite(4), ToGoal(grid.mask(torch.tensor([0])))):
        starts = torch.full((1, 6000), 4)
        found = sampled(horizon, grid, costs, starts, Soft(), generator=draws.generator(2))
        expected = horizon.visits(grid, costs, start, Soft())
        torch.testing.assert_close(found.visits(grid), expected, atol=0.04, rtol=0)


def horizons_of_two():
    goal = GRID.mask(torch.tensor([1, 3]))
    return {
        "exactly": lambda rows: Finite(torch.tensor([3, 10])[rows]),
        "within": lambda rows: Within(goal[rows], torch.tensor([3, 10])[rows]),
        "to the goal": lambda rows: ToGoal(goal[rows]),
    }


@pytest.mark.parametrize(
    ("kind", "slip"), [("exactly", 0.0), ("exactly", 0.3), ("within", 0.0), ("to the goal", 0.0), ("to the goal", 0.3)]
)
def test_neither_a_draw_nor_what_its_generator_draws_next_depends_on_the_other_maps(kind, slip):
    grid, horizon = Grid(2, 2, connectivity=4, stay=True, slip=slip), horizons_of_two()[kind]
    costs, starts = random(2, *grid.actions) + 2, torch.zeros(2, 5, dtype=torch.int64)
    streams = [draws.generator(number) for number in range(2)]
    both = sampled(horizon([0, 1]), grid, costs, starts, Soft(), generator=streams)
    for row in range(2):
        stream = draws.generator(row)
        alone = sampled(horizon([row]), grid, costs[[row]], starts[[row]], Soft(), generator=[stream])
        length = alone.actions.shape[-1]
        assert torch.equal(both.states[row, :, : length + 1], alone.states[0])
        assert (both.actions[row, :, length:] == -1).all()
        assert torch.equal(stream.get_state(), streams[row].get_state())


def test_generators_that_do_not_divide_the_paths_are_named():
    streams = [draws.generator(number) for number in range(3)]
    with pytest.raises(ValueError, match=r"multiple of the number of generators \(3\); got 4"):
        starts = torch.zeros(2, 2, dtype=torch.int64)
        sampled(Finite(2), GRID, random(2, *GRID.actions), starts, Soft(), generator=streams)


@pytest.mark.parametrize("dynamics", [Grid(3, 4, connectivity=16), ROADS])
def test_the_greedy_path_of_hard_values_costs_what_they_say(dynamics):
    costs = random(3, *dynamics.actions) + 0.1
    starts = torch.tensor([[0, 1], [2, 0], [1, 2]])
    for horizon in (Finite(5), ToGoal(dynamics.mask(torch.tensor([3, 3, 3])))):
        if isinstance(horizon, Finite) and dynamics is ROADS:
            horizon = Finite(2)
        values = horizon.values(dynamics, costs, Hard()).flatten(1).gather(1, starts)
        torch.testing.assert_close(greedy(horizon, dynamics, costs, starts, Hard()).costs(costs), values)


def test_paths_without_end_are_cut_and_a_start_at_the_goal_is_a_path():
    found = sampled(
        Discounted(0.9),
        GRID,
        random(1, *GRID.actions),
        torch.zeros(1, 2, dtype=torch.int64),
        Soft(),
        limit=8,
        generator=draws.generator(0),
    )
    assert found.lengths.tolist() == [[8, 8]]
    here = greedy(ToGoal(GRID.mask(torch.tensor([1]))), GRID, random(1, *GRID.actions) + 2, torch.tensor([[1]]), Soft())
    assert here.states.tolist() == [[[1]]] and here.actions.shape == (1, 1, 0)
    assert here.costs(random(1, *GRID.actions)).tolist() == [[0]]


def test_one_row_serves_all():
    costs, goals = random(1, *GRID.actions) + 2, ToGoal(GRID.mask(torch.tensor([1, 2, 3])))
    shared = greedy(goals, GRID, costs, torch.tensor([[0, 1]]), Hard())
    assert torch.equal(shared.states, greedy(goals, GRID, costs, torch.tensor([[0, 1]] * 3), Hard()).states)
    many = greedy(Finite(3), GRID, costs, torch.tensor([[0], [3]]), Hard())
    assert many.states[:, 0, 0].tolist() == [0, 3] and many.costs(costs).shape == (2, 1)
    with pytest.raises(ValueError, match=r"must have one row or equally many; got \[1, 2, 3\] rows"):
        greedy(goals, GRID, costs, torch.tensor([[0], [3]]), Hard())


def test_paths_that_cannot_be_are_refused():
    goal = ToGoal(ROADS.mask(torch.tensor([0])))
    with pytest.raises(ValueError, match="no path of map 0 starts at node 3"):
        greedy(goal, ROADS, random(1, 6) + 1, torch.tensor([[2, 3]]), Soft())
    with pytest.raises(ValueError, match="states are numbers from 0 to 3; got 4 for map 0"):
        greedy(goal, ROADS, random(1, 6) + 1, torch.tensor([[4]]), Soft())
    with pytest.raises(ValueError, match="paths of 9 steps need a limit as large; got 3"):
        greedy(Finite(9), GRID, random(1, *GRID.actions), torch.tensor([[0]]), Soft(), limit=3)
    free = torch.zeros(1, *GRID.actions)
    with pytest.raises(
        ValueError, match=r"a path of map 0 has not reached the goal in 20 steps and is at cell \(0, 0\)"
    ):
        still = ToGoal(GRID.mask(torch.tensor([3])))
        greedy(still, GRID, free, torch.tensor([[0]]), Hard(), limit=20)
