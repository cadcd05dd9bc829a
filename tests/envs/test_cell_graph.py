"""Shortest ways over cells, and demonstrations made of them."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.cell_graph import CellGraph
from envs.terrain_cost import GREEN, PREFERENCES, ROADS, true_cost
from envs.terrain_demos import demonstrated, load, save
from envs.terrain_generator import generated
from envs.terrain_map import LAYERS, TerrainMap

seeds = st.integers(0, 2**31)


def costs(seed, shape=(7, 9), blocked=0.3):
    generator = np.random.default_rng(seed)
    return np.where(generator.random(shape) < blocked, np.inf, generator.uniform(0.1, 5, shape))


def reference(costs, cell):
    """The same moves as a graph of networkx, one at a time."""
    graph = nx.DiGraph()
    graph.add_nodes_from(tuple(cell) for cell in np.argwhere(np.isfinite(costs)).tolist())
    for row, column in list(graph):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                other = (row + down, column + right)
                sides = [(row + down, column), (row, column + right)]
                if (down or right) and all(side in graph for side in (other, *sides)):
                    price = (costs[row, column] + costs[other]) / 2 * cell * np.hypot(down, right)
                    graph.add_edge((row, column), other, weight=price)
    return graph


@given(seeds)
def test_costs_to_go_are_those_of_networkx_and_paths_have_them(seed):
    grid = costs(seed)
    goal = tuple(np.argwhere(np.isfinite(grid))[seed % np.isfinite(grid).sum()].tolist())
    graph = CellGraph(grid, cell=0.7)
    ways = graph.ways_to(goal)
    expected = nx.single_source_dijkstra_path_length(reference(grid, 0.7), goal)
    found = {tuple(cell): ways.to_go[tuple(cell)] for cell in np.argwhere(np.isfinite(ways.to_go)).tolist()}
    assert found == pytest.approx(expected)
    for start, cost in expected.items():
        path = ways.path(start)
        assert tuple(path[0]) == start and tuple(path[-1]) == goal
        assert np.isfinite(grid[tuple(path.T)]).all()
        assert graph.cost_of(path) == pytest.approx(cost)


@given(seeds)
def test_the_cost_of_a_move_is_the_integral_along_its_line(seed):
    grid = costs(seed, (6, 6), blocked=0.0)
    generator = np.random.default_rng(seed)
    here = generator.integers(1, 5, 2)
    there = here + generator.integers(-1, 2, 2)
    shares = (np.arange(1000) + 0.5) / 1000
    points = here + 0.5 + shares[:, None] * (there - here)
    integral = grid[tuple(np.floor(points).astype(int).T)].mean() * 0.7 * np.linalg.norm(there - here)
    assert CellGraph(grid, cell=0.7).cost_of(np.array([here, there])) == pytest.approx(integral, abs=1e-9)


def test_nobody_passes_between_obstacles_that_touch_at_a_corner():
    grid = np.ones((2, 2))
    grid[0, 0] = grid[1, 1] = np.inf
    graph = CellGraph(grid, cell=1.0)
    assert graph.cost_of(np.array([(0, 1), (1, 0)])) == np.inf
    assert graph.cost_of(np.array([(0, 1), (0, 1)])) == 0
    assert CellGraph(np.ones((3, 3)), cell=1.0).cost_of(np.array([(0, 0), (2, 2)])) == np.inf, "no move"
    with pytest.raises(ValueError, match=r"no way leads from cell \(1, 0\) to cell \(0, 1\)"):
        graph.ways_to((0, 1)).path((1, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CellGraph(np.zeros((2, 2)), cell=1.0), r"costs must be positive on every cell of a grid \(H, W\)"),
        (lambda: CellGraph(np.full((2, 2), np.nan), cell=1.0), "costs must be positive"),
        (lambda: CellGraph(np.ones(4), cell=1.0), r"got shape \(4,\)"),
        (lambda: CellGraph(np.full((2, 2), np.inf), cell=1.0), "all cells are blocked"),
        (lambda: CellGraph(np.ones((2, 2)), cell=0.0), "cells must have a positive size"),
        (lambda: CellGraph(np.ones((2, 3)), cell=1.0).ways_to((2, 0)), r"cell \(2, 0\) is outside of the map of 2 x 3"),
        (lambda: CellGraph(np.ones((2, 3)), cell=1.0).ways_to((0, 0)).path((0, -1)), r"cell \(0, -1\) is outside"),
        (lambda: CellGraph(np.array([[1, np.inf]]), cell=1.0).ways_to((0, 1)), r"the goal, cell \(0, 1\), is blocked"),
        (lambda: CellGraph(np.ones((2, 2)), cell=1.0).cost_of(np.empty((0, 2))), "a way must be one cell"),
        (lambda: CellGraph(np.ones((2, 2)), cell=1.0).cost_of(np.array([(0, 2)])), "outside of the map"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def squares(**classes):
    """A map of 9 x 9 cells of 0.5 m with some classes on some of them."""
    layers = np.zeros((len(LAYERS), 9, 9), np.float32)
    for name, cells in classes.items():
        layers[(LAYERS.index(name), *cells)] = 1
    return TerrainMap(layers, LAYERS, np.zeros((9, 9), np.float32), 0.5)


def test_prices_are_those_of_the_table():
    everywhere = (slice(None), slice(None))
    for preference in (ROADS, GREEN):
        assert (true_cost(squares(), preference) == preference.ground).all()
        for name in ("walkway", "parking", "vegetation", "road"):
            cost = true_cost(squares(**{name: everywhere}), preference)
            assert cost == pytest.approx(np.full((9, 9), getattr(preference, name)))
        both = true_cost(squares(road=everywhere, walkway=everywhere), preference)
        assert both == pytest.approx(np.full((9, 9), min(preference.road, preference.walkway)))
    assert set(PREFERENCES.values()) == {ROADS, GREEN}


def test_costs_are_not_linear_in_the_layers():
    everywhere, strip = (slice(None), slice(None)), (slice(None), slice(2, 7))
    road = true_cost(squares(road=strip), ROADS)[4]
    assert road[2] == road[6] > road[3] > road[4] > 1, "the edge of a road costs more than its middle"
    meadow = true_cost(squares(vegetation=everywhere, road=(slice(None), 0)), GREEN)[4]
    assert (np.diff(meadow[1:]) < 0).all(), "a meadow is cheaper away from the road"
    assert meadow[1] == pytest.approx(1 + 5 * np.exp(-0.25 / 3))
    rock = true_cost(squares(obstacle=(4, 4)), ROADS)
    assert rock[4, 4] == np.inf and rock[4, 5] == pytest.approx(5 + 2 * np.exp(-0.25 / 0.7))
    steep = squares(slope=everywhere)
    assert true_cost(steep, ROADS) == pytest.approx(np.full((9, 9), 5 * (1 + 0.35**-2)))


@given(seeds, st.sampled_from([ROADS, GREEN]))
def test_demonstrations_are_cheapest_ways_between_the_cells_asked_for(seed, preference):
    terrain = generated(seed, size=32)
    graph = CellGraph(true_cost(terrain, preference), cell=terrain.cell)
    ways = demonstrated(graph, 3, seed=seed, apart=6.0, among=terrain.known)
    assert len(ways) == 3
    for way in ways:
        start, goal = tuple(way[0]), tuple(way[-1])
        assert terrain.known[start] and terrain.known[goal]
        assert 0.5 * np.linalg.norm(way[-1] - way[0]) >= 6.0
        assert graph.cost_of(way) == pytest.approx(graph.ways_to(goal).to_go[start])
    again = demonstrated(graph, 3, seed=seed, apart=6.0, among=terrain.known)
    assert all(np.array_equal(one, other) for one, other in zip(ways, again, strict=True))


def test_each_preference_goes_its_own_way():
    """Along roads the one, along paths and meadows the other, on the same maps."""
    shares = {}
    for name, preference in PREFERENCES.items():
        cells = []
        for seed in range(5):
            terrain = generated(seed)
            graph = CellGraph(true_cost(terrain, preference), cell=terrain.cell)
            cells += [terrain.layer("road")[tuple(way.T)] for way in demonstrated(graph, 4, seed=seed, apart=15.0)]
        shares[name] = np.concatenate(cells).mean()
    assert shares["roads"] > 0.6 and shares["green"] < 0.25


def test_what_cannot_be_demonstrated_is_refused():
    graph = CellGraph(np.array([[1.0, np.inf, 1.0, 1.0]]), cell=1.0)
    with pytest.raises(ValueError, match="found 0 of 2 ways between connected cells 3 m apart or more"):
        demonstrated(graph, 2, seed=0, apart=3.0)
    with pytest.raises(ValueError, match="found 0 of 1 ways"):
        demonstrated(graph, 1, seed=0, apart=0.0, among=np.zeros((1, 4), bool))


def test_files_of_ways(tmp_path):
    graph = CellGraph(np.ones((6, 7)), cell=1.0)
    ways = demonstrated(graph, 4, seed=1, apart=2.0)
    for kept in (ways, []):
        save(tmp_path / "ways.npz", kept)
        again = load(tmp_path / "ways.npz", (6, 7))
        assert len(again) == len(kept)
        assert all(np.array_equal(one, other) for one, other in zip(kept, again, strict=True))
    save(tmp_path / "ways.npz", ways)
    with pytest.raises(ValueError, match="leave a map of 2 x 2 cells"):
        load(tmp_path / "ways.npz", (2, 2))
    np.savez(tmp_path / "bad.npz", cells=np.zeros((3, 2), int), ends=np.array([2, 1]))
    with pytest.raises(ValueError, match="the ends of its ways must rise to 3"):
        load(tmp_path / "bad.npz", (6, 7))
    np.savez(tmp_path / "bad.npz", cells=np.zeros((3, 2)), ends=np.array([3]))
    with pytest.raises(ValueError, match="must hold whole numbers"):
        load(tmp_path / "bad.npz", (6, 7))
    (tmp_path / "bad.npz").write_text("nothing")
    with pytest.raises(ValueError, match=r"is no file of demonstrations: it must be \.npz with cells, ends"):
        load(tmp_path / "bad.npz", (6, 7))
