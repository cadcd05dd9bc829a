"""Regions: grids agree with geometry, certification is geometry, and odd polygons are named."""

import math
from itertools import pairwise

import numpy as np
import pytest
import shapely
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Point, Polygon

from planners import feasible
from planners.regions import KeepInRegion, KeepOutRegion, SignedDistance, polygon_of

pytestmark = pytest.mark.usefixtures("double")

# A room with a pillar, and a second room that no door leads to.
ROOM = polygon_of([(0, 0), (4, 0), (4, 3), (2, 3), (2, 2), (0, 2)], [[(1, 0.5), (1.5, 0.5), (1.5, 1), (1, 1)]])
ROOMS = MultiPolygon([ROOM, Polygon([(5, 0), (6, 0), (6, 1), (5, 1)])])
IN, OUT = KeepInRegion(ROOMS), KeepOutRegion(ROOMS)
DISTANCE = IN.distance

# In millimetres: certification rounds to a picometre.
points = st.tuples(st.integers(-1000, 7000), st.integers(-1000, 4000)).map(lambda p: (p[0] / 1000, p[1] / 1000))
paths = st.lists(points, min_size=2, max_size=6, unique=True)


def tensor(path):
    return torch.tensor(path, dtype=torch.float64)[None, None]


@given(points)
def test_the_grid_reads_the_signed_distance_of_the_geometry(point):
    distance = DISTANCE
    expected = ROOMS.boundary.distance(Point(point)) * (1 if ROOMS.covers(Point(point)) else -1)
    assert distance(torch.tensor(point)).item() == pytest.approx(expected, abs=1.5 * distance.cell)


def test_far_from_the_grid_the_distance_goes_on_falling():
    distance = SignedDistance(ROOM)
    far = distance(torch.tensor([[-50.0, 1.0], [-100.0, 1.0]]))
    assert far[1] - far[0] == pytest.approx(-50, abs=0.1)


@given(paths)
def test_a_path_is_certified_just_where_the_geometry_covers_it(path):
    line = LineString(path)
    assert bool(feasible([IN], tensor(path))) == ROOMS.covers(line)
    assert bool(feasible([OUT], tensor(path))) == (not shapely.relate_pattern(ROOMS, line, "T********"))


@given(paths)
def test_margins_of_the_grid_are_near_those_that_are_certified(path):
    dense = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(path)])
    signs = np.where(shapely.covers(ROOMS, shapely.points(dense)), 1, -1)
    exact = (shapely.distance(ROOMS.boundary, shapely.points(dense)) * signs).min()
    # Inside exact; outside to half of eight cells.
    assert IN.margin(tensor(path)).item() == pytest.approx(exact, abs=0.01 if exact > 0 else 4 * DISTANCE.cell + 0.05)
    longest = max(math.dist(a, b) for a, b in pairwise(path))
    assert IN.margins(tensor(path)).amin().item() == pytest.approx(exact, abs=longest / 4 + 0.06)


def test_a_path_that_hops_across_an_obstacle_between_two_way_points_does_not_hold():
    wall = KeepOutRegion(polygon_of([(0, -1), (0.01, -1), (0.01, 1), (0, 1)]))
    hop = tensor([(-1, 0), (1, 0)])
    assert not feasible([wall], hop).any() and wall.margin(hop).item() < 0
    assert feasible([wall], tensor([(-1, 0), (-1, 2), (1, 2), (1, 0)])).all()


def test_touching_the_boundary_is_allowed_from_both_sides():
    along = tensor([(0, 0), (4, 0)])
    assert IN.margin(along).item() == 0 == OUT.margin(along).item()


@given(points)
def test_the_slope_of_a_margin_has_length_one_and_leads_out(point):
    assume(abs(ROOMS.boundary.distance(Point(point))) > 0.15)
    p = torch.tensor(point).requires_grad_()
    value = DISTANCE(p)
    (slope,) = torch.autograd.grad(value, p)
    assert slope.isfinite().all() and slope.norm() < 1.5


def test_paths_are_judged_alone_and_those_that_are_no_numbers_never_hold():
    y = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(0)) + 1
    y[1, 2, 3, 0] = torch.nan
    for constraint in (IN, OUT):
        assert constraint.margins(y).shape == (2, 3, 9) and constraint.margin(y).shape == (2, 3)
        assert constraint.margin(y)[1, 2] == -math.inf
        for b, n in ((0, 0), (1, 1)):
            assert constraint.margin(y)[b, n] == constraint.margin(y[b : b + 1, n : n + 1])[0, 0]


def test_single_points_are_judged_too():
    inside, outside = tensor([(3.0, 1.0)]), tensor([(1.2, 0.7)])
    assert feasible([IN], inside).all() and not feasible([IN], outside).any()
    assert IN.margins(inside).shape == (1, 1, 1)


def test_outlines_are_drawn_holes_included():
    assert len(IN.shapes()["lines"]) == 6 + 4 + 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: polygon_of([(0, 0), (1, 1)]), "a polygon needs at least three corners; got 2"),
        (lambda: polygon_of([(0, 0), (1, 1), (1, 0), (0, 1)]), r"must not cross itself: Self-intersection\[0.5 0.5\]"),
        (lambda: polygon_of([(0, 0), (1, 1), (2, 2)]), "must not cross itself|must have an area"),
        (lambda: KeepInRegion(Polygon()), "a region must have an area; got POLYGON EMPTY"),
        (lambda: KeepInRegion(ROOM, channels=(1,)), "channels must name two different channels"),
    ],
)
def test_regions_that_are_none_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_grid_that_would_fill_the_memory_is_refused():
    with pytest.raises(ValueError, match=r"a grid of 15001 x 15001 cells of 0.001 m is too large; give wider cells"):
        SignedDistance(Polygon([(0, 0), (10, 0), (10, 10), (0, 10)]), cell=0.001)
    with pytest.raises(ValueError, match=r"a grid of \d+ x \d+ cells of 1e-100 m is too large; give wider cells"):
        SignedDistance(Polygon([(0, 0), (10, 0), (10, 10), (0, 10)]), cell=1e-100)
