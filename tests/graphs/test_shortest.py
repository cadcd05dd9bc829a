"""csgraph, backups and networkx agree on what a way costs."""

import math

import networkx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embodied_gen.graphs import Graph, Grid, Hard, ToGoal, costs_to_go, shortest

pytestmark = pytest.mark.usefixtures("double")


def cells(seed, rows, *shape):
    """Maps of costs, a fifth of the cells blocked, not the first and the last."""
    source = torch.Generator().manual_seed(seed)
    costs = torch.rand(rows, *shape, generator=source, dtype=torch.float64) + 0.05
    costs[torch.rand(rows, *shape, generator=source) < 0.2] = math.inf
    costs[:, 0, 0] = costs[:, -1, -1] = 1.0
    return costs


def network_of(graph, costs):
    network = graph.to_networkx({"cost": costs})
    network.remove_edges_from([e for e in network.edges(keys=True) if network.edges[e]["cost"] == math.inf])
    return network


@given(st.integers(0, 10_000), st.sampled_from([4, 8, 16]))
@settings(max_examples=20)
def test_costs_to_go_are_the_values_of_hard_backups(seed, connectivity):
    grid = Grid(5, 6, connectivity=connectivity)
    costs, goals = grid.costs_of_moves(cells(seed, 2, 5, 6)), torch.tensor([0, 29])
    found = costs_to_go(grid, costs, goals)
    torch.testing.assert_close(found, ToGoal(grid.mask(goals)).values(grid, costs, Hard()))
    one_map = costs_to_go(grid, costs[:1], goals)
    torch.testing.assert_close(one_map, ToGoal(grid.mask(goals)).values(grid, costs[:1], Hard()))


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_paths_are_those_of_networkx(seed):
    source = torch.Generator().manual_seed(seed)
    tails, heads = torch.randint(7, (2, 25), generator=source)  # parallel edges and loops among them
    graph = Graph(tails, heads, 7)
    costs = (torch.rand(1, 25, generator=source, dtype=torch.float64) * 4).round()  # ties and zeros among them
    lengths = networkx.single_source_dijkstra_path_length(network_of(graph, costs[0]), 0, weight="cost")
    for goal in range(7):
        if goal in lengths:
            path = shortest(graph, costs, torch.tensor([0]), torch.tensor([goal]))
            assert float(path.costs(costs)) == pytest.approx(lengths[goal])
            assert path.states[0, 0, 0] == 0 and path.states[0, 0, -1] == goal
        else:
            with pytest.raises(ValueError, match="no path of map 0 starts at node 0"):
                shortest(graph, costs, torch.tensor([0]), torch.tensor([goal]))


def test_rows_may_have_their_own_maps_starts_and_goals():
    grid = Grid(4, 4, connectivity=8)
    costs = grid.costs_of_moves(cells(5, 3, 4, 4).nan_to_num(posinf=7.0))
    starts, goals = torch.tensor([0, 3, 5]), torch.tensor([15, 3, 12])
    paths = shortest(grid, costs, starts, goals)
    field = costs_to_go(grid, costs, goals).flatten(1)
    torch.testing.assert_close(paths.costs(costs)[:, 0], field[torch.arange(3), starts])
    assert paths.lengths[1] == 0


def test_negative_costs_are_searched_and_negative_cycles_named():
    graph = Graph(torch.tensor([0, 1, 0, 2]), torch.tensor([1, 2, 2, 1]), 3)
    costs = torch.tensor([[2.0, -1.0, 3.0, 1.5], [2.0, -1.0, 3.0, 0.5]])[:, graph.order]
    goals = torch.tensor([2])
    assert costs_to_go(graph, costs[:1], goals).tolist() == [[1.0, -1.0, 0.0]]
    assert shortest(graph, costs[:1], torch.tensor([0]), goals).states.tolist() == [[[0, 1, 2]]]
    with pytest.raises(ValueError, match="map 1 has a cycle of negative cost, so that no path is the shortest"):
        costs_to_go(graph, costs, goals)


def test_searches_that_cannot_be_are_refused():
    grid = Grid(2, 2)
    costs = grid.costs_of_moves(torch.ones(2, 2, 2))
    with pytest.raises(ValueError, match="states are numbers from 0 to 3; got -1 for map 1, which is outside"):
        costs_to_go(grid, costs, torch.tensor([0, -1]))
    costs[1, grid.moves.index((1, 0)), 0, 1] = math.nan
    with pytest.raises(ValueError, match=r"the cost of map 1, cell \(0, 1\), move \(1, 0\) is nan"):
        costs_to_go(grid, costs, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"a search needs moves of one outcome; this grid has a slip of 0\.1"):
        slippy = Grid(2, 2, slip=0.1)
        costs_to_go(slippy, slippy.costs_of_moves(torch.ones(1, 2, 2)), torch.tensor([0]))
