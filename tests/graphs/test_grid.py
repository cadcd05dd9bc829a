"""Moves, what they cost, and where they lead."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embodied_gen import draws
from embodied_gen.graphs import Grid
from embodied_gen.graphs.grid import crossed

pytestmark = pytest.mark.usefixtures("double")

grids = st.builds(
    Grid,
    st.integers(1, 5),
    st.integers(1, 5),
    connectivity=st.sampled_from([4, 8, 16]),
    stay=st.booleans(),
    slip=st.sampled_from([0.0, 0.3]),
)


def random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def along(cells, start, move, count=40_001):
    """The integral of a map of cells along the segment of a move, by the midpoint rule."""
    share = (np.arange(count) + 0.5) / count
    at = np.floor(np.array(start) + 0.5 + share[:, None] * np.array(move)).astype(int)
    return math.hypot(*move) * cells[at[:, 0], at[:, 1]].mean()


def test_the_cost_of_a_move_is_the_integral_along_its_segment():
    grid = Grid(5, 5, connectivity=16)
    cells = random(1, 5, 5)
    costs = grid.costs_of_moves(cells)[0, :, 2, 2]
    for cost, move in zip(costs.tolist(), grid.moves, strict=True):
        assert cost == pytest.approx(along(cells[0].numpy(), (2, 2), move), rel=1e-3)


@given(grids)
def test_moves_are_those_of_the_map(grid):
    assert len(set(grid.moves)) == len(grid.moves) == grid.actions[0]
    for number, (a, b) in enumerate(grid.moves):
        for row in range(grid.height):
            for column in range(grid.width):
                inside = 0 <= row + a < grid.height and 0 <= column + b < grid.width
                assert bool(grid.available()[number, row, column]) == (inside or grid.slip > 0)
                action = torch.tensor((number * grid.height + row) * grid.width + column)
                assert int(grid.tails(action)) == row * grid.width + column
                if inside or grid.slip:
                    there = (row + a, column + b) if inside else (row, column)
                    assert tuple(grid.cells(grid.heads(action)).tolist()) == there


@given(grids)
def test_what_arrives_is_the_adjoint_of_what_lies_ahead(grid):
    values = random(2, *grid.states)
    visits = random(2, *grid.actions) * grid.available()
    forward, back = grid.loops(visits)
    assert torch.equal(forward(values) * grid.available(), grid.ahead(values) * grid.available())
    assert torch.equal(back(visits), grid.arrive(visits))
    torch.testing.assert_close((grid.ahead(values) * visits).sum(), (values * grid.arrive(visits)).sum())
    torch.testing.assert_close((grid.spread(values) * visits).sum(), (values * grid.collect(visits)).sum())
    torch.testing.assert_close(grid.arrive(visits).sum(), visits.sum())  # nothing is lost


@given(grids)
def test_the_loops_of_a_grid_leave_nothing_behind(grid):
    visits = random(1, *grid.actions) * grid.available()
    forward, back = grid.loops(visits)
    first = back(visits), forward(random(1, *grid.states)).clone() * grid.available()
    for _ in range(2):
        assert torch.equal(back(visits), first[0])
        assert torch.equal(forward(random(1, *grid.states)) * grid.available(), first[1])


def test_with_slip_a_move_beyond_the_edge_stays_and_costs_its_cell():
    grid = Grid(1, 3, connectivity=4, slip=0.4)
    up, left, right, down = (grid.moves.index(m) for m in [(-1, 0), (0, -1), (0, 1), (1, 0)])
    values = torch.tensor([[[1.0, 2.0, 4.0]]])
    ahead = grid.ahead(values)[0, :, 0, 0]
    chance = 0.4 * (1 + 1 + 1 + 2) / 4
    assert ahead[up] == ahead[left] == ahead[down] == pytest.approx(0.6 + chance)
    assert float(ahead[right]) == pytest.approx(0.6 * 2 + chance)
    costs = grid.costs_of_moves(values)[0, :, 0, 0]
    chance = 0.4 * (1 + 1 + 1 + 1.5) / 4
    assert float(costs[right]) == pytest.approx(0.6 * 1.5 + chance)
    assert float(costs[left]) == pytest.approx(0.6 + chance)


def test_a_diagonal_goes_between_two_blocked_cells_and_a_knight_does_not():
    cells = torch.ones(1, 3, 3)
    cells[0, 0, 1] = cells[0, 1, 0] = math.inf
    costs = Grid(3, 3, connectivity=16).costs_of_moves(cells)[0]
    moves = Grid(3, 3, connectivity=16).moves
    assert float(costs[moves.index((1, 1)), 0, 0]) == pytest.approx(math.sqrt(2))
    assert costs[moves.index((1, 2)), 0, 0] == costs[moves.index((2, 1)), 0, 0] == math.inf
    assert crossed((1, 2)) == [(0, 0), (0, 1), (1, 1), (1, 2)]


def test_a_stay_costs_its_cell():
    cells = random(1, 2, 2)
    assert torch.equal(Grid(2, 2, stay=True).costs_of_moves(cells)[:, -1], cells)


def test_a_state_cost_blocks_the_moves_into_its_cell():
    cells = torch.ones(1, 1, 3)
    cells[0, 0, 2] = math.inf
    grid = Grid(1, 3, connectivity=4)
    costs = grid.checked(grid.costs_of_states(cells))[0, :, 0]
    left, right = grid.moves.index((0, -1)), grid.moves.index((0, 1))
    assert costs[right].tolist() == [1, math.inf, math.inf] and costs[left].tolist() == [math.inf, 1, math.inf]


def test_slips_are_as_frequent_as_they_say():
    grid = Grid(3, 3, connectivity=4, slip=0.4)
    action = grid.moves.index((0, 1)) * 9 + 4
    there = grid.advance(torch.full((20_000,), action), generator=draws.generator(0))
    shares = torch.bincount(there, minlength=9) / 20_000
    one_hot = torch.eye(9).view(9, 3, 3)
    torch.testing.assert_close(shares.double(), grid.ahead(one_hot).flatten(1)[:, action], atol=0.015, rtol=0)


def test_grids_that_are_none_are_refused():
    for told, match in (
        ({"height": 0, "width": 3}, "at least one row and one column; got 0 x 3"),
        ({"height": 3, "width": 3, "connectivity": 5}, "connectivity must be 4, 8 or 16; got 5"),
        ({"height": 3, "width": 3, "slip": 1.0}, "slip must be a probability below 1; got 1.0"),
    ):
        with pytest.raises(ValueError, match=match):
            Grid(**told)
    with pytest.raises(ValueError, match=r"cells must lie on the map of 2 x 3; got \(0, 3\)"):
        Grid(2, 3).index(torch.tensor([[0, 0], [0, 3]]))
    with pytest.raises(ValueError, match=r"numbers of states must have shape \(B, 2, 3\); got \[2, 3\]"):
        Grid(2, 3).costs_of_moves(torch.ones(2, 3))
