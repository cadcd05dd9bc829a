"""Sums over paths by products are those of log weights, wherever numbers can hold them."""

import math

import pytest
import torch

from embodied_gen import draws
from embodied_gen.graphs import Graph, Grid, Soft
from embodied_gen.graphs.backups import Backup, Steps
from embodied_gen.graphs.products import products

GRID = Grid(4, 3, connectivity=8, stay=True)
ROADS = Graph(torch.tensor([0, 0, 1, 2, 2, 3, 3, 0]), torch.tensor([1, 2, 2, 3, 0, 0, 3, 1]), 4)
STEPS = torch.tensor([3, 6])


def weights_of(dynamics, scale=2.0, dtype=torch.float64):
    like = torch.empty(0, dtype=dtype)
    return -scale * dynamics.checked(draws.uniform((2, *dynamics.actions), generator=draws.generator(3), like=like))


def ends_of(dynamics, goal):
    end = torch.full((2, *dynamics.states), 0.0 if goal is None else -math.inf, dtype=torch.float64)
    return end if goal is None else end.masked_fill(goal, 0.0)


@pytest.mark.parametrize("has_goal", [False, True])
@pytest.mark.parametrize("dynamics", [GRID, ROADS])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_values_and_visits_are_those_of_log_weights(dynamics, has_goal, dtype, tolerance):
    goal = dynamics.mask(torch.tensor([1, 2])) if has_goal else None
    weights, end = weights_of(dynamics, dtype=dtype), ends_of(dynamics, goal).to(dtype)
    found = products(dynamics, weights, goal, end, STEPS)
    assert found is not None
    with torch.no_grad():
        other = Steps(Backup(dynamics, Soft(), weights, goal=goal), end, STEPS)
        flow = torch.arange(end.numel(), dtype=dtype).view(end.shape) + 1
        ours, theirs = (found.values, *found.sent(flow)), (other.values, *other.sent(flow))
    for one, another in zip(ours, theirs, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one, another, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("tails", "heads", "costs", "steps"),
    [
        pytest.param([0, 0, 1, 1], [0, 1, 0, 1], [4.0, math.inf, 4.0, -4.0], 120, id="a blocked edge"),
        pytest.param([0, 0, 1], [0, 1, 2], [10.0, -650.0, 0.0], 120, id="a dead end"),
    ],
)
def test_nothing_is_visited_where_no_path_goes_beside_sums_far_apart(tails, heads, costs, steps):
    graph = Graph(torch.tensor(tails), torch.tensor(heads), max(heads) + 1)
    weights, counts = -torch.tensor([costs], dtype=torch.float64), torch.tensor([steps])
    end = torch.zeros(1, *graph.states, dtype=torch.float64)
    flow = graph.mask(torch.tensor([0])).double()
    found = products(graph, weights, None, end, counts)
    assert found is not None
    with torch.no_grad():
        other = Steps(Backup(graph, Soft(), weights), end, counts)
    for one, another in zip(found.sent(flow), other.sent(flow), strict=True):
        torch.testing.assert_close(one, another, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dynamics", "scale", "end", "steps"),
    [
        pytest.param(Grid(3, 3, slip=0.1), 1.0, 0.0, 4, id="moves may slip"),
        pytest.param(GRID, 1.0, 0.0, 300, id="many steps"),
        pytest.param(GRID, 800.0, 0.0, 1, id="one step is too dear"),
        pytest.param(GRID, 200.0, 0.0, 200, id="all paths are too dear"),
        pytest.param(GRID, -10.0, 0.0, 200, id="sums are too large"),
        pytest.param(GRID, 1.0, -800.0, 4, id="the end is too dear"),
    ],
)
def test_there_are_no_products_where_numbers_cannot_hold_them(dynamics, scale, end, steps):
    ends = torch.zeros(2, *dynamics.states, dtype=torch.float64)
    ends[:, 0] = end
    weights = torch.where(dynamics.available(), weights_of(dynamics).abs() * -scale / 2, -math.inf)
    assert products(dynamics, weights, None, ends, torch.tensor([steps, steps])) is None
