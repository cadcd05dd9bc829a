"""The separation of boxes is that of geometry, and poses between steps turn along the shorter arc."""

import math

import pytest
import scene_cases as cases
import torch
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon

from planners.boxes import boxes_of, moves, outline, separation, turned_to, with_halfway, wrap

pytestmark = pytest.mark.usefixtures("double")


def box(values):
    x, y, heading, length, width = values
    return torch.tensor([x, y, heading, length / 2, width / 2], dtype=torch.float64)


def polygon(values):
    return Polygon(outline(box(values))[::2].numpy())


@given(cases.boxes, cases.boxes)
def test_the_sign_of_a_separation_is_that_of_the_geometry_and_apart_it_is_at_most_the_distance(first, second):
    s = separation(box(first), box(second)).item()
    distance, overlap = polygon(first).distance(polygon(second)), polygon(first).intersection(polygon(second)).area
    if s > 1e-9:
        assert overlap < 1e-12 and s <= distance + 1e-9
    if s < -1e-6:
        assert distance == 0 and overlap > 0
    assert s == pytest.approx(separation(box(second), box(first)).item(), abs=1e-9)


@given(cases.boxes, cases.boxes)
def test_moved_by_its_depth_an_overlapping_box_just_touches_and_never_by_less(first, second):
    depth = -separation(box(first), box(second)).item()
    one, other = polygon(first), polygon(second)
    if depth < 1e-3:
        return
    angles = [k * math.pi / 2 + turn for k in range(4) for turn in (first[2], second[2])]

    def free_after(way):
        ways = [(way * math.cos(a), way * math.sin(a)) for a in angles]
        return any(
            one.intersection(Polygon([(x + dx, y + dy) for x, y in other.exterior.coords])).area < 1e-9
            for dx, dy in ways
        )

    assert free_after(depth + 1e-6) and not free_after(0.99 * depth - 1e-4)


@given(cases.boxes)
def test_an_outline_runs_around_its_box(values):
    ring = Polygon(outline(box(values)).numpy())
    assert ring.is_valid and ring.area == pytest.approx(values[3] * values[4], rel=1e-6)
    assert ring.centroid.coords[0] == pytest.approx(values[:2], abs=1e-6)


@given(st.floats(-20, 20))
def test_wrapped_angles_are_the_same_direction_within_half_a_turn(angle):
    wrapped = wrap(torch.tensor(angle, dtype=torch.float64)).item()
    assert -math.pi - 1e-9 <= wrapped <= math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-9)
    assert math.sin(wrapped) == pytest.approx(math.sin(angle), abs=1e-9)


def test_headings_turn_along_the_shorter_arc():
    start, end = box((0, 0, 3.0, 4, 2)), box((1, 0, -3.0, 4, 2))
    assert turned_to(start, end)[2].item() == pytest.approx(2 * math.pi - 3)
    poses, _ = with_halfway(torch.stack([start, end]), torch.ones(2, dtype=torch.bool))
    assert poses.shape == (3, 5) and poses[2, :3].tolist() == pytest.approx([0.5, 0, math.pi])


def test_a_box_stands_still_in_its_last_step_and_before_it_is_absent():
    steps = torch.stack([box((k, 0, 0, 4, 2)) for k in range(4)])
    start, end = moves(steps, torch.tensor([True, True, False, True]))
    assert start.equal(steps)
    assert (end - start)[:, 0].tolist() == [1, 0, 0, 0]


def test_sizes_below_zero_count_as_zero_and_the_absent_are_zeros():
    y = torch.tensor([cases.agent(1, 2, 3, -4, 2), cases.agent(1, 2, 3, 4, 2, valid=0)])
    boxes, here = boxes_of(y)
    assert boxes.tolist() == [[1, 2, 3, 0, 1], [0] * 5] and here.tolist() == [True, False]
