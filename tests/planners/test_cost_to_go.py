"""The cost to go is the length of the shortest way inside a region, which geometry finds corner by corner."""

import itertools
import math

import networkx
import pytest
import shapely
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from planners.cost_to_go import CostToGo, ReachCost

pytestmark = pytest.mark.usefixtures("double")

HOLE = shapely.box(-0.4, -0.3, 0.5, 0.6)
ROOM = shapely.box(-1, -1, 1, 1)
AROUND = shapely.difference(ROOM, HOLE)
ROUND, OPEN = CostToGo(AROUND), CostToGo(ROOM, cells=64)
# A room and a thin zigzag, whose end sees no node of a coarse grid.
THORN = ROOM.union(shapely.LineString([(0.9, 0), (1.13, 2.03), (0.93, 3.17)]).buffer(0.01))
numbers = st.floats(-1, 1)
points = st.tuples(numbers, numbers)


def length(cost_to_go, p, goal):
    return float(cost_to_go(torch.tensor([[p]]), torch.tensor([goal])))


def shortest(p, goal):
    """Over all ways from corner to corner of the hole that stay inside."""
    places = [p, goal, *HOLE.exterior.coords[:-1]]
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(places)))
    for a, b in itertools.combinations(range(len(places)), 2):
        if AROUND.covers(shapely.LineString([places[a], places[b]])):
            graph.add_edge(a, b, weight=math.dist(places[a], places[b]))
    return networkx.shortest_path_length(graph, 0, 1, weight="weight")


@given(points, points)
def test_without_walls_it_is_the_distance(p, goal):
    assert length(OPEN, p, goal) == pytest.approx(math.dist(p, goal), abs=OPEN.cell)


def test_from_what_is_no_number_it_is_no_number_and_from_elsewhere_it_is():
    p = torch.tensor([[[math.nan, 0.0], [0.0, math.inf], [-0.9, -0.9]]])
    assert ROUND(p, torch.tensor([[0.9, 0.9]])).isfinite().tolist() == [[False, False, True]]


@given(points, points)
def test_around_a_wall_it_is_the_shortest_way_to_the_error_of_the_grid(p, goal):
    assume(AROUND.covers(shapely.Point(p)) and AROUND.covers(shapely.Point(goal)))
    exact = shortest(p, goal)
    assert exact - 2 * ROUND.cell < length(ROUND, p, goal) < 1.0132 * exact + 2 * ROUND.cell


@given(points, points)
def test_outside_it_grows_with_the_distance_from_the_region(p, goal):
    assume(AROUND.covers(shapely.Point(goal)))
    assume(max(map(abs, p)) > 0.5)
    beyond = tuple(3 * number for number in p)
    nearest = shapely.get_coordinates(shapely.shortest_line(ROOM, shapely.Point(beyond)))[0]
    assume(math.dist(nearest, beyond) > 0.1)
    expected = length(ROUND, tuple(nearest), goal) + math.dist(nearest, beyond)
    assert length(ROUND, beyond, goal) == pytest.approx(expected, abs=3 * ROUND.cell)


def test_inside_a_wall_it_falls_towards_the_region():
    depth = torch.linspace(0, 0.2, 9)
    p = torch.stack([torch.full((9,), 0.0), -0.3 + depth], -1)[None]
    assert (ROUND(p, torch.tensor([[0.0, -0.8]])).diff() > 0).all()


def test_where_no_way_leads_to_the_goal_it_falls_towards_where_one_does():
    apart = CostToGo(shapely.union_all([shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)]))
    x = torch.linspace(1.1, 2.9, 10)
    values = apart(torch.stack([x, torch.full((10,), 0.5)], -1)[None], torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(values[0], x - 0.5, atol=2 * apart.cell, rtol=0)


def test_the_gradient_is_that_of_finite_differences():
    p = 2.4 * torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)) - 1.2
    goal = torch.tensor([[-0.8, 0.1], [0.8, 0.8], [-0.8, 0.1]])
    assert torch.autograd.gradcheck(lambda p: ROUND(p, goal), p.requires_grad_(), eps=1e-7, atol=1e-5)


def test_every_row_has_its_own_goal():
    p = 2 * torch.rand(4, 5, 2, generator=torch.Generator().manual_seed(0)) - 1
    goal = torch.tensor([[-0.8, 0.1], [0.8, 0.8], [-0.8, 0.1], [0.0, -0.9]])
    together = ROUND(p, goal)
    assert together.shape == (4, 5)
    for row in range(4):
        torch.testing.assert_close(together[row], ROUND(p[row : row + 1], goal[row : row + 1])[0])


@given(points, points, st.floats(0, 5))
def test_to_reach_costs_the_mean_of_the_way_and_more_for_its_end(p, q, end):
    goal = torch.tensor([[0.1, 0.2]])
    states = torch.tensor([[[9.0, *p], [9.0, *q]]])
    a, b = OPEN(states[..., 1:], goal)[0].tolist()
    cost = ReachCost(OPEN, end=end, channels=(1, 2))(states, torch.zeros(1, 2, 1), goal)
    assert cost.tolist() == pytest.approx([(a + b) / 2 + end * b])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CostToGo(ROOM, cells=1), "cells must be at least 2; got 1"),
        (lambda: CostToGo(shapely.Polygon()), "a region must have an area"),
        (lambda: CostToGo(shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])), "a region must not cross itself"),
        (lambda: CostToGo(shapely.LineString([(0, 0), (1, 1.01)]).buffer(1e-5), cells=4), "has no node inside"),
        (lambda: length(ROUND, (0.9, 0.9), (0.0, 0.0)), r"the goal must lie inside the region; got \(0.0, 0.0\)"),
        (
            lambda: length(CostToGo(THORN, cells=8), (0.0, 0.0), (0.935, 3.14)),
            "no node of the grid is in sight of the goal",
        ),
        (lambda: ReachCost(OPEN, end=-1.0), "end must not be negative; got -1.0"),
    ],
)
def test_what_has_no_answer_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
