"""Boxes agree with shapely."""

import numpy as np
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from envs.boxes import between, corners, overlapping

numbers = st.floats(-4, 4)
boxes = st.tuples(numbers, numbers, st.floats(-7, 7), st.floats(0.3, 6), st.floats(0.3, 3)).map(np.array)


def polygon(box):
    return shapely.Polygon(corners(box))


@given(boxes, boxes)
def test_boxes_overlap_where_their_polygons_meet(first, second):
    a, b = polygon(first), polygon(second)
    gap, common = a.distance(b), a.intersection(b).area
    assume(gap > 1e-6 or common > 1e-6)
    assert overlapping(first, second) == overlapping(second, first) == (gap == 0)


@given(boxes)
def test_corners_run_counter_clockwise_from_the_front_left(box):
    shape = polygon(box)
    assert shape.exterior.is_ccw
    assert np.isclose(shape.area, box[3] * box[4])
    assert np.allclose(corners(box).mean(0), box[:2])
    front = corners(box)[[0, 3]].mean(0) - box[:2]
    assert np.allclose(front, box[3] / 2 * np.array([np.cos(box[2]), np.sin(box[2])]))


@given(st.lists(boxes, min_size=2, max_size=5))
def test_many_boxes_are_compared_as_each_pair_alone(found):
    stack = np.stack(found)
    table = overlapping(stack[:, None], stack)
    assert table.shape == (len(found), len(found)) and table.diagonal().all()
    for i, first in enumerate(found):
        for j, second in enumerate(found):
            assert table[i, j] == overlapping(first, second)


@given(boxes, boxes)
def test_boxes_between_two_turn_the_short_way(start, end):
    end[3:] = start[3:]
    ways = between(start, end, (0.0, 0.5, 1.0))
    assert np.allclose(ways[0], start) and np.allclose(ways[2][[0, 1, 3, 4]], end[[0, 1, 3, 4]])
    assert np.isclose(np.exp(1j * ways[2, 2]), np.exp(1j * end[2]))
    assert abs(ways[2, 2] - start[2]) <= np.pi + 1e-9
