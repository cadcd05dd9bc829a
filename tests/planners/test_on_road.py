"""Boxes on a road: margins near those of the geometry, and certification of the whole move."""

import math

import numpy as np
import pytest
import scene_cases as cases
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon

from planners import OnRoad, feasible, polygon_of
from planners.boxes import boxes_of, outline, turned_to

pytestmark = pytest.mark.usefixtures("double")

# A crossing with an island, and a place that no road leads to.
CROSSING = polygon_of(
    [
        (-30, -6),
        (-6, -6),
        (-6, -30),
        (6, -30),
        (6, -6),
        (30, -6),
        (30, 6),
        (6, 6),
        (6, 30),
        (-6, 30),
        (-6, 6),
        (-30, 6),
    ],
    [[(12, -1), (20, -1), (20, 1), (12, 1)]],
)
REGION = MultiPolygon([CROSSING, Polygon([(40, 0), (60, 0), (60, 20), (40, 20)])])
ROAD = OnRoad(REGION)
CELL = ROAD.distance.cell

poses = st.tuples(st.floats(-25, 60), st.floats(-15, 20), st.floats(-4, 4))
starts = st.tuples(st.floats(-24, 24), st.floats(-3, 3), st.floats(-0.3, 0.3))
turns = st.tuples(st.floats(-4, 4), st.floats(-2, 2), st.floats(-0.6, 0.6))


def swept(y, count=200):
    """Boxes at many moments of every step, a scene of one agent `(1, 1, 1, T, 7)` to polygons."""
    boxes, _ = boxes_of(y)
    start, end = boxes[..., :-1, :], boxes[..., 1:, :]
    share = torch.linspace(0, 1, count, dtype=y.dtype)[:, None, None, None]
    between = start + share[..., None] * (turned_to(start, end) - start)
    return shapely.polygons(outline(between)[..., ::2, :].numpy())


@given(poses)
def test_a_box_that_stands_is_on_the_road_just_where_the_region_covers_it(pose):
    y = cases.scene([cases.agent(*pose)])
    box = swept(torch.cat([y, y], -2), 1)[0, 0, 0, 0]
    covered, margin = REGION.covers(box), ROAD.margin(y).item()
    assert bool(feasible([ROAD], y)) == covered
    if covered:
        exact = REGION.boundary.distance(box)
        assert -1e-9 <= margin <= exact + CELL
        assert ROAD.margins(y).amin().item() == pytest.approx(exact, abs=1.5 * CELL + 0.6)  # the island between points
    else:
        assert margin < 0


@given(starts, turns)
@settings(max_examples=60)
def test_what_is_certified_is_on_the_road_at_every_moment_and_little_else_is_refused(start, turn):
    end = [a + b for a, b in zip(start, turn, strict=True)]
    y = cases.scene([cases.agent(*start), cases.agent(*end)])
    polygons = swept(y)
    holds = bool(shapely.covers(REGION, polygons).all())
    spare = float(shapely.distance(REGION.boundary, polygons).min())
    arc = math.hypot(4.5, 2) / 2 * (1 - math.cos(turn[2] / 4))
    if ROAD.margin(y).item() >= 0:
        assert holds
    elif holds:
        assert spare <= 2 * arc + 0.01


def test_a_box_that_cuts_the_corner_between_two_steps_is_not_certified():
    y = cases.scene([cases.agent(-4, -9, math.pi / 2), cases.agent(-9, -4, math.pi)])
    assert (ROAD.margins(y)[..., :2] > 0).all() and ROAD.margin(y).item() < 0


def test_a_box_over_an_island_that_no_corner_touches_is_not_certified():
    y = cases.scene([cases.agent(16, 0, 0, 12, 4)] * 2)
    assert ROAD.margin(y).item() < 0


def test_deep_inside_the_grid_decides_and_near_the_border_geometry():
    wide = OnRoad(Polygon([(-100, -100), (100, -100), (100, 100), (-100, 100)]))
    y = cases.traffic(samples=3)
    assert wide.margin(y).tolist() == [pytest.approx(wide.margins(y).amin(-1)[0].tolist(), abs=1.0)]
    touching = cases.scene([cases.agent(97.75, 0, 0), cases.agent(97.75, 50, 0)])
    assert wide.margin(touching).item() == pytest.approx(0, abs=1e-9) and feasible([wide], touching).all()


@pytest.mark.parametrize("seed", range(3))
def test_samples_and_agents_are_judged_alone(seed):
    y = cases.traffic(seed, contexts=2, samples=3, agents=3)
    alone = torch.stack([OnRoad(REGION, agents=[k]).margin(y) for k in range(3)])
    torch.testing.assert_close(ROAD.margin(y), alone.amin(0))
    assert ROAD.margin(y)[1, 2] == ROAD.margin(y[1:, 2:])[0, 0]
    order = [2, 0, 1]
    torch.testing.assert_close(ROAD.margin(y[:, :, order]), ROAD.margin(y))


def test_turning_the_scene_and_the_road_changes_nothing_but_the_grid():
    y = cases.traffic(3, samples=8, agents=2)
    new = cases.moved(y, 0.7, 30, -20)
    turned = shapely.affinity.translate(shapely.affinity.rotate(REGION, 0.7, origin=(0, 0), use_radians=True), 30, -20)
    assert feasible([OnRoad(turned)], new).equal(feasible([ROAD], y))
    torch.testing.assert_close(OnRoad(turned).margins(new), ROAD.margins(y), atol=2 * CELL, rtol=0)


def test_the_absent_are_ignored_and_get_no_gradient():
    y = cases.scene([cases.agent(0, 0, 0), cases.agent(99, 0, 0, valid=0), cases.agent(0, 3, 0)])
    y[0, 0, 0, 1, :3] = torch.nan
    y.requires_grad_()
    assert ROAD.margin(y).item() > 0 and (ROAD.margins(y) > 0).all()
    ROAD.margins(y).sum().backward()
    assert y.grad.isfinite().all() and (y.grad[..., 1, :] == 0).all() and (y.grad[..., 0, :2] != 0).any()


def test_what_is_no_number_never_holds():
    y = cases.scene([cases.agent(0, 0, 0)] * 3)
    for channel in (0, 1, 2, 4, 5):
        broken = y.clone()
        broken[..., 1, channel] = torch.nan
        assert ROAD.margin(broken).item() == -math.inf


def test_the_gradient_of_margins_is_that_of_finite_differences():
    y = cases.traffic(samples=2, agents=2, steps=3).requires_grad_()
    assert (ROAD.margins(y) < 0).any()
    assert torch.autograd.gradcheck(ROAD.margins, y, eps=1e-7, atol=1e-5)


def test_a_finer_grid_is_nearer_to_the_geometry():
    y = cases.scene([cases.agent(x, 3, 0.1) for x in np.linspace(-20, 20, 9)])
    exact = min(REGION.boundary.distance(p) for p in swept(y, 1)[0, 0, 0])
    errors = [abs(OnRoad(REGION, cell=cell).margins(y)[..., :9].amin().item() - exact) for cell in (4.0, 0.25)]
    assert errors[1] < 0.1 < errors[0]


def test_the_outline_is_drawn():
    assert len(ROAD.shapes()["lines"]) == 12 + 4 + 4


def test_impossible_roads_are_refused():
    with pytest.raises(ValueError, match="cell must be positive and finite; got 0"):
        OnRoad(REGION, cell=0)
    with pytest.raises(ValueError, match="a region must have an area"):
        OnRoad(Polygon())
    with pytest.raises(ValueError, match="there is no agent 4; the scene has 4 agents"):
        OnRoad(REGION, agents=[4]).margin(cases.traffic())


def test_single_precision_is_judged_by_the_geometry_of_its_numbers():
    far = shapely.affinity.translate(REGION, 4000, -3000)
    y = cases.moved(cases.traffic(2, samples=32, agents=1), 0.0, 4000, -3000).float()
    road = OnRoad(far)
    assert road.margins(y).dtype == road.margin(y).dtype == torch.float32
    holds = feasible([road], y)
    assert 0.05 < holds.float().mean() < 0.95 and feasible([road], y.double()).equal(holds)
