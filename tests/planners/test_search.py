"""A* finds what Dijkstra's search finds, and looks at less."""

import math

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.graphs import Graph, Grid, costs_to_go
from planners.search import AStar, grid_estimate, straight_estimate

pytestmark = pytest.mark.usefixtures("double")


def moves(seed, grid):
    source = torch.Generator().manual_seed(seed)
    cells = torch.rand(1, *grid.states, generator=source, dtype=torch.float64) + 0.2
    cells[torch.rand(1, *grid.states, generator=source) < 0.25] = math.inf
    cells[0, 0, 0] = cells[0, -1, -1] = 1.0
    return grid.costs_of_moves(cells)


@given(st.integers(0, 10_000), st.sampled_from([4, 8, 16]), st.booleans())
@settings(max_examples=15)
def test_routes_cost_what_dijkstra_and_networkx_say(seed, connectivity, stay):
    grid = Grid(6, 7, connectivity=connectivity, stay=stay)
    costs, goal = moves(seed, grid), 41
    field = costs_to_go(grid, costs, torch.tensor([goal]))[0].flatten()
    search, estimate = AStar(grid, costs[0]), grid_estimate(grid, costs[0], goal)
    assert (torch.from_numpy(estimate) <= field + 1e-12).all()  # admissible
    begin, heads, numbers = grid.edges(costs[0])
    tails = np.repeat(np.arange(42), np.diff(begin))
    assert (estimate[tails] <= numbers + estimate[heads] + 1e-12).all()  # consistent
    if math.isinf(field[0]):
        with pytest.raises(ValueError, match=r"no path of map 0 starts at cell \(0, 0\)"):
            search.route(0, goal, estimate)
        return
    route, blind = search.route(0, goal, estimate), search.route(0, goal, np.zeros(42))
    network = networkx.DiGraph()
    network.add_weighted_edges_from(zip(tails.tolist(), heads.tolist(), numbers.tolist(), strict=True))
    assert route.cost == pytest.approx(float(field[0])) == pytest.approx(blind.cost)
    assert route.cost == pytest.approx(networkx.dijkstra_path_length(network, 0, goal))
    assert route.expanded <= blind.expanded
    assert route.states[0] == 0 and route.states[-1] == goal
    steps = [network.edges[edge]["weight"] for edge in zip(route.states, route.states[1:], strict=False)]
    assert sum(steps) == pytest.approx(route.cost)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_roads_are_searched_by_the_straight_distance(seed):
    source = np.random.default_rng(seed)
    places = source.uniform(size=(12, 2))
    tails, heads = source.integers(12, size=(2, 40))
    length = np.linalg.norm(places[tails] - places[heads], axis=1) * source.uniform(1, 2, 40)
    graph = Graph(torch.from_numpy(tails), torch.from_numpy(heads), 12)
    costs = torch.from_numpy(length)[graph.order]
    field = costs_to_go(graph, costs[None], torch.tensor([5]))[0]
    search = AStar(graph, costs)
    for start in range(12):
        if field[start] < math.inf:
            route = search.route(start, 5, straight_estimate(places, 5, 1.0))
            assert route.cost == pytest.approx(float(field[start]))


def test_an_estimate_that_is_not_consistent_still_finds_the_least_cost():
    graph = Graph(torch.tensor([0, 0, 1, 2, 3]), torch.tensor([1, 2, 3, 3, 4]), 5)
    costs = torch.tensor([1.0, 3.0, 4.0, 1.0, 5.0])[graph.order]
    route = AStar(graph, costs).route(0, 4, np.array([0.0, 5.0, 6.0, 0.0, 0.0]))
    assert route.cost == 9.0 and route.states.tolist() == [0, 2, 3, 4]


def test_an_open_field_is_crossed_without_looking_aside():
    grid = Grid(30, 30, connectivity=8)
    costs = grid.costs_of_moves(torch.ones(1, 30, 30))[0]
    search = AStar(grid, costs)
    route = search.route(0, 899, grid_estimate(grid, costs, 899))
    assert route.cost == pytest.approx(29 * math.sqrt(2)) and route.expanded < 60
    assert search.route(0, 899, np.zeros(900)).expanded == 899


def test_searches_that_cannot_be_are_refused():
    grid = Grid(2, 2)
    costs = grid.costs_of_moves(torch.ones(1, 2, 2))[0]
    with pytest.raises(ValueError, match=r"A\* needs costs that are not negative; got -1.0"):
        AStar(grid, costs - 2)
    with pytest.raises(ValueError, match="a number for each of 4 states; got shape"):
        AStar(grid, costs).route(0, 1, np.zeros(3))
    with pytest.raises(ValueError, match="states are numbers from 0 to 3; got 4 for map 0"):
        AStar(grid, costs).route(0, 4, np.zeros(4))
